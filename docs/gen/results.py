"""Tables of kept results for the pages that ask for them, so that no figure is typed by hand.

    <!-- result: amd-epyc-2-cores/embedded -->            the table of a kept report.json, and where and how it was measured
    <!-- sentences: amd-epyc-2-cores/embedded -->         what that report says in words
    <!-- tables: amd-epyc-2-cores/frame/report.md 1 -->   tables of a kept Markdown report by number, and its last line

Folders are below `benchmarks/results`. Kept pictures are files of the site, at the same path below `results/`.
MkDocs calls `on_files` and `on_page_markdown`, as this is one of the hooks that mkdocs.yml names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from u3p_edge.benchmark.result import Environment
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.config.plain import from_dict
from u3p_edge.files.atomic import read_json
from u3p_edge.report.markdown import summary_header, summary_rows, table

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
DIRECTIVE = re.compile(r"^<!-- (result|sentences|tables): (\S+)((?: \d+)*) -->$", re.MULTILINE)


def result_table(folder: str) -> str:
    """Return the table of `folder`/report.json in Markdown, and one line on the machine, the versions and the command."""
    result = read_result(RESULTS / folder / "report.json")
    return f"{table(summary_header(result), summary_rows(result))}\n\n*{_measured(result.environment, result.command)}*"


def sentences(folder: str) -> str:
    """Return the first line and the list of sentences at the head of `folder`/report.md, above its first table."""
    _, _, text = (RESULTS / folder / "report.md").read_text(encoding="utf-8").partition("\n")
    return text.partition("\n|")[0].strip()


def tables(file: str, numbers: str) -> str:
    """Return tables of a kept Markdown file, counted from 1, and the line that names the machine and the command.

    Raises:
        ValueError: the file has no table of that number.
    """
    path = RESULTS / file
    text = path.read_text(encoding="utf-8")
    kept = _blocks(text, "|")
    wanted = [int(number) for number in numbers.split()]
    if not wanted or max(wanted) > len(kept):
        raise ValueError(f"{file} has {len(kept)} tables, and {numbers!r} were asked for")
    return "\n\n".join([*("\n".join(kept[number - 1]) for number in wanted), f"*{_circumstances(path, text)}*"])


def expand(markdown: str) -> str:
    """Return a page with its directives replaced by what they ask for."""
    makers: Mapping[str, Callable[[str, str], str]] = {
        "result": lambda folder, _: result_table(folder),
        "sentences": lambda folder, _: sentences(folder),
        "tables": tables,
    }
    return DIRECTIVE.sub(lambda match: makers[match[1]](match[2], match[3]), markdown)


def on_files(files: Any, config: Any) -> Any:
    """MkDocs' hook: add the kept pictures to the files of the site."""
    from mkdocs.structure.files import File

    for picture in sorted(RESULTS.rglob("*.png")):
        name = f"results/{picture.relative_to(RESULTS).as_posix()}"
        files.append(File.generated(config, name, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """MkDocs' hook: expand the directives of one page."""
    return expand(markdown)


def _circumstances(path: Path, text: str) -> str:
    """Return the line of a report that ends in its command; where it has none, what the JSON result beside it says."""
    for line in text.splitlines():
        if "Command: `" in line:
            return line.removeprefix("- ")
    kept = next(value for file in sorted(path.parent.glob("*.json")) if "command" in (value := read_json(file)))
    return _measured(from_dict(Environment, kept["environment"]), kept["command"])


def _measured(machine: Environment, command: str) -> str:
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries)
    return f"{machine.cpu}, {machine.cores} cores, Python {machine.python}, {libraries}. Command: `{command}`."


def _blocks(text: str, prefix: str) -> list[list[str]]:
    """Return the runs of lines that begin with `prefix`."""
    blocks: list[list[str]] = [[]]
    for line in text.splitlines():
        if line.startswith(prefix):
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]
