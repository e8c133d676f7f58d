"""What the documentation takes from the package and from kept results is there, whole, and named by some page."""

from __future__ import annotations

import dataclasses
import importlib
import re
from pathlib import Path

import pytest

from docs.gen import api, commands, results, schemas
from tests.support.pages import DOCS, PAGES, name_of
from tests.support.paths import REPOSITORY
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.report.markdown import summary_rows

DIRECTIVE = re.compile(r"^<!-- (\w+)(: .*)? -->$", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Inner:
    """What is held.

    Args:
        a, b: two numbers | of one meaning,
            on two lines.
    """

    a: int
    b: float | None = None


@dataclasses.dataclass(frozen=True)
class Outer:
    """What holds.

    Args:
        items: all of them.

    Raises:
        ValueError: never.
    """

    items: tuple[Inner, ...] = ()


def test_a_schema_names_type_default_and_meaning_of_every_field_also_inside() -> None:
    text = schemas.schema(Outer)
    assert "| `items` | list of Inner | `[]` | all of them. |" in text
    assert "| `a` | whole number | required | two numbers \\| of one meaning, on two lines. |" in text
    assert "| `b` | number or nothing | none | two numbers" in text
    assert "never" not in text


def test_a_result_table_is_the_kept_reports() -> None:
    folder = "amd-epyc-2-cores/embedded"
    result = read_result(results.RESULTS / folder / "report.json")
    text = results.result_table(folder)
    for row in summary_rows(result):
        assert all(cell in text for cell in row)
    assert f"Command: `{result.command}`" in text


def test_tables_of_a_report_are_counted_from_one_and_a_missing_one_is_an_error() -> None:
    file = "amd-epyc-2-cores/rewrites_64_320/report.md"
    kept = (results.RESULTS / file).read_text(encoding="utf-8")
    first, second = results.tables(file, "1"), results.tables(file, "2")
    assert first.splitlines()[0].startswith("| runtime |")
    assert second.splitlines()[0].startswith("| number |")
    assert all(line in kept for line in first.splitlines() if line.startswith("|"))
    with pytest.raises(ValueError, match="has 2 tables"):
        results.tables(file, "3")


def test_a_report_without_a_command_takes_it_from_the_result_beside_it() -> None:
    assert "Command: `python benchmarks/frame.py" in results.tables("amd-epyc-2-cores/frame/report.md", "1")


def test_every_kept_report_is_on_a_page() -> None:
    """So that a new result is not forgotten, and one that is removed takes its page along."""
    asked = {
        match[1].removesuffix("/report.md")
        for page in PAGES
        for match in re.finditer(r"<!-- (?:result|tables): (\S+)", _text(page))
    }
    kept = {path.parent.relative_to(results.RESULTS).as_posix() for path in results.RESULTS.glob("*/*/report.md")}
    assert kept <= asked


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=name_of)
def test_every_directive_of_a_page_is_expanded(page: Path) -> None:
    text = _text(page)
    for generator in (results, commands, schemas, api):
        text = generator.expand(text)
    assert not DIRECTIVE.search(text)


def test_every_field_of_a_documented_file_has_a_meaning() -> None:
    """Of the dataclass that a page names, and of those that it holds."""
    named = {match.groups()[1:] for page in PAGES for match in schemas.DIRECTIVE.finditer(_text(page))}
    classes = {held for module, name in named for held in schemas.held_classes(getattr(importlib.import_module(module), name))}
    assert len(classes) > len(named) > 5
    silent = [
        f"{cls.__name__}.{field.name}"
        for cls in classes
        for field in dataclasses.fields(cls)
        if field.init and field.name not in schemas.meanings(cls)
    ]
    assert not silent, f"the `Args:` of its class say nothing of {silent}"


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r"^ +- (\S+\.md)$", (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")
