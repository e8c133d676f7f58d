"""Every figure in the README stands in a kept report, whose raw samples and command lie beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY
from u3p_edge.artifact import read_json
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.pipeline.quantize import QuantizationChoice
from u3p_edge.recipes.named import read_export_recipe
from u3p_edge.report.markdown import summary_header, summary_rows

RESULTS = sorted((REPOSITORY / "benchmarks" / "results").glob("*/*/report.json"))


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def tables(markdown: str) -> list[tuple[list[str], list[list[str]]]]:
    """Header and rows of every table after a line `<!-- result: FOLDER -->`, by that folder's report."""
    found = re.findall(r"<!-- result: .*? -->\n\n((?:\|.*\n)+)", markdown)
    return [(cells(lines[0]), [cells(line) for line in lines[2:]]) for lines in (table.splitlines() for table in found)]


def test_the_readmes_tables_are_those_of_kept_reports() -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    folders = re.findall(r"<!-- result: (.*?) -->", text)
    assert folders
    assert len(folders) == len(tables(text))
    for folder, (header, rows) in zip(folders, tables(text), strict=True):
        result = read_result(REPOSITORY / "benchmarks" / "results" / folder / "report.json")
        kept = [dict(zip(summary_header(result), row, strict=True)) for row in summary_rows(result)]
        assert rows == [[row[title] for title in header] for row in kept]


@pytest.mark.parametrize("kind", ["rewrites", "pruning"])
def test_the_readmes_other_tables_are_those_of_kept_reports(kind: str) -> None:
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    found = re.findall(rf"<!-- {kind}: (.*?) -->\n\n((?:\|.*\n)+)", text)
    assert found
    for name, table in found:
        kept = REPOSITORY / "benchmarks" / "results" / name
        assert table in (kept if kept.suffix == ".md" else kept / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_a_kept_result_is_whole_and_names_no_machine_path(path: Path) -> None:
    result = read_result(path)
    assert result.data is not None
    assert all(a.accuracy and a.memory and len(a.latencies) >= 1 for a in result.artifacts)
    assert not re.search(r"(^|\s|')/(?!dev/null)", result.command)


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: "/".join(path.parts[-3:-1]))
def test_kept_int8_loses_at_most_what_its_recipe_allows(path: Path) -> None:
    choice = QuantizationChoice(**read_json(path.with_name("quantization.json")))
    assert choice.drop <= read_export_recipe("exact" if choice.pruned_dice is None else "balanced").max_drop
