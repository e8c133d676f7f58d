"""Every command and option that the documentation shows is one of the program."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from docs.gen.commands import all_commands
from tests.support.pages import PAGES, Line, inline_code, name_of, shell_lines
from tests.support.paths import REPOSITORY
from u3p_edge.cli.main import app
from u3p_edge.files.json_toml import parse_toml

LINES = [line for page in PAGES for line in shell_lines(page)]
COMMANDS = dict(all_commands())
OPTIONS = frozenset(
    option for command in COMMANDS.values() for param in command.params for option in (*param.opts, *param.secondary_opts)
)
GENERAL = frozenset(("--help", "--help-all", "--version", "--install-completion", "--show-completion"))
"""Options that every command has, or the program itself."""

ELSEWHERE = frozenset(("--strict", "--ms", "--updates", "--extra", "--record", "--u3p-baseline", "--u3p-seconds"))
"""Options of MkDocs, of the pytest plugin and of scripts in benchmarks/, in sentences."""


EXTRAS = frozenset(parse_toml((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"])


def extras_in(code: str) -> list[str]:
    """The extras in what pip is to install, e.g. `.[export,onnx]`."""
    return [extra for names in re.findall(r"\.\[([a-z,]+)\]", code) for extra in names.split(",")]


def script_of(module: str) -> Path:
    """The file that `python -m` runs, of a module or of a package."""
    path = REPOSITORY / module.replace(".", "/")
    return path / "__main__.py" if path.is_dir() else path.with_suffix(".py")


def parse(words: tuple[str, ...]) -> None:
    """Parse a command line as the program does, without running it. Raises typer's error for what it does not know."""
    command: Any = typer.main.get_command(app)
    rest = list(words[1:])
    while children := getattr(command, "commands", None):
        if rest and rest[0] in GENERAL:
            return
        if not rest and command.invoke_without_command:
            return
        assert rest, f"{words} names no command"
        assert rest[0] in children, f"there is no command {rest[0]!r}"
        command = children[rest.pop(0)]
    if not GENERAL.intersection(rest):
        command.make_context(words[0], rest)


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.page}: {' '.join(line.words)}")
def test_a_command_is_one_that_works(line: Line) -> None:
    """u3p-edge parses it; a script is there and has its options; an extra that pip shall install is declared."""
    match line.words:
        case ("u3p-edge", *_):
            parse(line.words)
        case ("python", "-m", "pip", "install", *wanted):
            assert {extra for word in wanted for extra in extras_in(word)} <= EXTRAS
        case ("python", "-m", "pytest", *_) | ("mkdocs", "build", "--strict"):
            pass
        case ("python", "-m", script, *options) if script.startswith("benchmarks."):
            text = script_of(script).read_text(encoding="utf-8")
            assert all(f'"{option}"' in text for option in options if option.startswith("--"))
        case ("git" | "cd" | "ruff" | "mypy" | "lint-imports" | ".ci/run", *_):
            pass
        case _:
            pytest.fail(f"nobody checks {line.words[0]!r}")


def test_what_the_parser_refuses_fails() -> None:
    with pytest.raises(Exception, match="No such option"):
        parse(("u3p-edge", "export", "--no-such-option"))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_options_and_commands_in_sentences_are_those_of_the_program(page: Path) -> None:
    for code in inline_code(page):
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", code):
            assert option in OPTIONS | GENERAL | ELSEWHERE, f"{code!r} names {option}"
        assert set(extras_in(code)) <= EXTRAS, code
        if command := re.match(r"u3p-edge ([a-z]+(?: [a-z]+)?)", code):
            names = {f"u3p-edge {command[1]}", f"u3p-edge {command[1].split()[0]}"}
            assert names & COMMANDS.keys() or any(name.startswith(f"u3p-edge {command[1]} ") for name in COMMANDS), code
        if script := re.match(r"python -m (benchmarks\.[\w.]+)", code):
            assert script_of(script[1]).is_file(), code
