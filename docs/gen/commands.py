"""The reference of the command line, made from the program itself.

    <!-- commands -->   every command with its help, its arguments and all its options

MkDocs calls `on_page_markdown` as one of the hooks that mkdocs.yml names.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Iterator
from typing import Any

import typer

from u3p_edge.cli.main import app

DIRECTIVE = re.compile(r"^<!-- commands -->$", re.MULTILINE)


def all_commands() -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, with its full name, e.g. "u3p-edge data check"."""
    return _walk("u3p-edge", typer.main.get_command(app))


def command_section(name: str, command: Any) -> str:
    """Return the section of one command in Markdown."""
    context = command.make_context(name, [], resilient_parsing=True)
    records = [(param, _record(param, context)) for param in command.params]
    arguments = [record for param, record in records if record and param.param_type_name == "argument"]
    options = [record for param, record in records if record and param.param_type_name == "option"]
    parts = [f"## {name}", _prose(command.help or "")]
    parts += [f"**{title}**\n\n{_table(rows)}" for title, rows in (("Arguments", arguments), ("Options", options)) if rows]
    return "\n\n".join(parts)


def expand(markdown: str) -> str:
    """Return a page with its directive replaced by the sections of all commands."""
    return DIRECTIVE.sub(lambda _: "\n\n".join(command_section(*one) for one in all_commands()), markdown)


def on_page_markdown(markdown: str, **_: object) -> str:
    """MkDocs' hook: expand the directive of one page."""
    return expand(markdown)


def _walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    children = getattr(command, "commands", None)
    if not children:
        yield name, command
    else:
        for child in children.values():
            yield from _walk(f"{name} {child.name}", child)


def _record(param: Any, context: Any) -> tuple[str, str] | None:
    """Return name and meaning of a parameter; those that the short help hides are shown too."""
    shown = copy.copy(param)
    shown.hidden = False
    record: tuple[str, str] | None = shown.get_help_record(context)
    return record


def _prose(text: str) -> str:
    """Return help text in Markdown: the paragraphs of examples become blocks of code."""
    shown = []
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines = paragraph.replace("\b\n", "").splitlines()
        example = all(line.strip().startswith("u3p-edge") for line in lines if line.strip())
        shown.append("```sh\n" + inspect.cleandoc("\n".join(lines)) + "\n```" if example else _plain("\n".join(lines)))
    return "\n\n".join(shown)


def _table(rows: list[tuple[str, str]]) -> str:
    lines = [f"| `{' '.join(name.split())}` | {_plain(' '.join(meaning.split()))} |" for name, meaning in rows]
    return "\n".join(["| name | meaning |", "| --- | --- |", *lines])


def _plain(text: str) -> str:
    """Return a sentence in Markdown: what is not between backticks is plain text."""
    return re.sub(r"(`[^`]*`)|([*\[|])|<", lambda match: match[1] or (f"\\{match[2]}" if match[2] else "&lt;"), text)
