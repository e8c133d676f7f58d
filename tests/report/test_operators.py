"""The bars of operators are as long as their times, and what is too much to draw is summed."""

from __future__ import annotations

import dataclasses
import re
from xml.etree import ElementTree

import pytest

from tests.support.html_page import Page
from tests.support.sample_results import result
from u3p_edge.benchmark.operator_times import OperatorTime
from u3p_edge.benchmark.result import RunResult
from u3p_edge.report.bar_plot import MOST, BarPair, draw_bars
from u3p_edge.report.html import render_html
from u3p_edge.report.markdown import render
from u3p_edge.report.operators import draw_operators
from u3p_edge.report.pruning_bars import draw_pruning
from u3p_edge.report.pruning_table import TOTAL, PruningRow

SVG = "{http://www.w3.org/2000/svg}"


def timed() -> RunResult:
    value = result()
    before = (OperatorTime("CONV_2D", 5, 12.0), OperatorTime("SOFTMAX", 1, 3.0))
    after = (OperatorTime("CONV_2D", 6, 4.0), OperatorTime("QUANTIZE", 1, 0.5))
    first, second = value.artifacts
    files = (dataclasses.replace(first, operator_times=before), dataclasses.replace(second, operator_times=after))
    return dataclasses.replace(value, artifacts=files)


BEFORE, AFTER = "fill: #0072b2", "fill: url(#"
"""Of bars before, in a colour, and after, hatched."""


def lengths(svg: bytes, fill: str) -> list[float]:
    """Length of each bar of that fill from the top; the patch of the legend does not begin where bars do."""
    root = ElementTree.fromstring(svg)
    paths = [path for path in root.iter(f"{SVG}path") if fill in path.get("style", "")]
    corners = [[float(x) for x in re.findall(r"[ML] ([\d.]+) ", path.get("d", ""))] for path in paths]
    start = min(min(xs) for xs in corners)
    return [max(xs) - min(xs) for xs in corners if min(xs) == start]


def test_bars_are_in_proportion_to_the_times_and_kinds_are_side_by_side() -> None:
    svg = draw_operators(timed())
    assert svg is not None
    # The kinds by their longer bar: CONV_2D 12 and 4, SOFTMAX 3 and none, QUANTIZE none and 0.5.
    unit = lengths(svg, BEFORE)[0] / 12
    # The document has six decimals of a point.
    assert lengths(svg, BEFORE) == pytest.approx([12 * unit, 3 * unit, 0], abs=1e-4)
    assert lengths(svg, AFTER) == pytest.approx([4 * unit, 0, 0.5 * unit], abs=1e-4)
    names = [text.text for text in ElementTree.fromstring(svg).iter(f"{SVG}text")]
    assert [name for name in names if name in ("CONV_2D", "SOFTMAX", "QUANTIZE")] == ["CONV_2D", "SOFTMAX", "QUANTIZE"]


def test_page_and_markdown_have_the_table_and_the_page_the_bars() -> None:
    page = Page(render_html(timed()))
    assert ["model.float32.tflite", "CONV_2D", "5", "12.000", "80.0 %"] in page.rows
    assert "Operators before and after" in page.text
    assert "| model.int8.tflite | QUANTIZE | 1 | 0.500 | 11.1 % |" in render(timed()).replace("\\_", "_")
    assert draw_operators(result()) is None
    assert "Operators" not in render(result())


def test_of_many_parts_those_that_take_the_least_are_summed() -> None:
    pairs = [BarPair(f"part{i}", float(i), 0.0) for i in range(1, MOST + 4)]
    svg = draw_bars(pairs, ("before", "after"))
    unit = lengths(svg, BEFORE)[0] / 4
    # Parts 1, 2 and 3 are the least.
    assert lengths(svg, BEFORE) == pytest.approx([i * unit for i in (*range(4, MOST + 4), 1 + 2 + 3)], abs=1e-3)


def test_a_part_that_pruning_removed_has_a_bar_before_and_none_after() -> None:
    rows = (
        PruningRow("wide", 8, 4, 4.0, 1.0),
        PruningRow("removed", 8, 0, 2.0, None),
        PruningRow("untimed", 1, 1, None, None),
        PruningRow(TOTAL, 17, 5, 6.0, 1.0),
    )
    svg = draw_pruning(rows)
    assert svg is not None
    unit = lengths(svg, BEFORE)[0] / 4
    assert lengths(svg, BEFORE) == pytest.approx([4 * unit, 2 * unit], abs=1e-4)
    assert lengths(svg, AFTER) == pytest.approx([unit, 0], abs=1e-4)
    assert draw_pruning(rows[2:]) is None
