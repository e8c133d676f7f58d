"""The page of a history names the commit of a planted step and no other, and joins no two machines."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tests.support.histories import commit_at, on_machine, write_history
from tests.support.html_page import Page
from tests.support.sample_results import result
from u3p_edge.benchmark.history import read_history, record
from u3p_edge.benchmark.series import follow_figures
from u3p_edge.report.trend import CHANGES, LATEST, change_rows, describe_changes, render_trend
from u3p_edge.report.trend_plot import draw_trend

pytest.importorskip("ruptures", reason="the extra history is not installed")

STEP, COMMITS = 8, 16
EVIL = "</td><script>alert(1)</script>"


def test_a_step_is_named_by_its_commit_in_table_and_plot(tmp_path: Path) -> None:
    write_history(tmp_path, [0.3] * STEP + [0.36] * (COMMITS - STEP))
    trends = follow_figures(read_history(tmp_path), 0.03)
    page = Page(render_trend(trends))
    changes = page.rows[page.rows.index(list(CHANGES)) + 1 : page.rows.index(list(LATEST))]
    # The int8 file alone became slower: its time and its ratio.
    assert len(changes) == 2
    for file, figure, commit, date, _, _, growth, versions in changes:
        assert (file, commit, date) == ("model.int8.tflite", commit_at(STEP).name[:7], "2026-01-09")
        assert figure.startswith("latency, ")
        # 0.36 / 0.30 is +20 %. A time varies by 1 % from commit to commit, so the mean of 8 by 0.35 %, and the quotient of two
        # such means by 0.5 %: 1 is two of it.
        assert re.fullmatch(r"\+(19|20)\.\d%, worse", growth)
        assert versions == "–"
    assert describe_changes(trends).startswith("2 changes, 2 for the worse, in ")
    assert page.text.count("+20.") + page.text.count("+19.") == 2 * len(changes), "each once more in a plot"
    assert page.open == []


def test_a_level_that_only_varies_has_no_change(tmp_path: Path) -> None:
    write_history(tmp_path, [0.3] * COMMITS)
    trends = follow_figures(read_history(tmp_path), 0.01)
    assert change_rows(trends) == []
    assert describe_changes(trends) == "No change in 9 figures over 16 commits on 1 kind of machine."


def test_two_machines_are_two_series_though_commits_alternate(tmp_path: Path) -> None:
    write_history(tmp_path, [0.3] * 10)
    write_history(tmp_path, [0.9] * 10, cpu="Another CPU", slowness=5)
    trends = follow_figures(read_history(tmp_path), 0.01)
    assert {trend.entries[0].environment.cpu for trend in trends} == {"Some CPU", "Another CPU"}
    assert all(len(series.figures) == 10 for trend in trends for series in trend.series)
    assert change_rows(trends) == []


def test_a_version_that_changed_with_a_level_is_named(tmp_path: Path) -> None:
    for position in range(COMMITS):
        value = result(relative=0.3 if position < STEP else 0.2, seed=10 * position)
        libraries = (("onnxruntime", "1.31.1" if position < STEP else "1.32.0"),)
        environment = dataclasses.replace(value.environment, libraries=libraries)
        record(tmp_path, dataclasses.replace(value, environment=environment), commit_at(position))
    rows = change_rows(follow_figures(read_history(tmp_path), 0.03))
    assert {row[-1] for row in rows} == {"onnxruntime 1.31.1 → 1.32.0"}
    assert all(row[-2].endswith("better") for row in rows)


def test_a_score_of_other_data_begins_a_series_of_its_own(tmp_path: Path) -> None:
    value = result()
    assert value.data is not None
    record(tmp_path, value, commit_at(0))
    record(tmp_path, dataclasses.replace(value, data=dataclasses.replace(value.data, sha256="ef" * 32)), commit_at(1))
    (trend,) = follow_figures(read_history(tmp_path))
    lengths = {series.last.title: len(series.figures) for series in trend.series}
    assert lengths["mean Dice (nuclei, test, cdcdcdcd)"] == lengths["mean Dice (nuclei, test, efefefef)"] == 1
    assert lengths["size"] == 2


def test_no_name_becomes_an_element_and_the_same_history_gives_the_same_bytes(tmp_path: Path) -> None:
    value = result()
    files = [
        dataclasses.replace(a, latencies=()) for a in (value.artifacts[0], dataclasses.replace(value.artifacts[1], name=EVIL))
    ]
    for position in range(3):
        record(tmp_path, on_machine(dataclasses.replace(value, artifacts=tuple(files)), EVIL), commit_at(position))
    trends = follow_figures(read_history(tmp_path))
    text = render_trend(trends, title=EVIL)
    page = Page(text)
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert "alert(1)" in page.text
    assert text == render_trend(trends, title=EVIL)
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers)), "two plots of the page name one thing"


def test_every_commit_has_its_mark_at_its_value(tmp_path: Path) -> None:
    write_history(tmp_path, [0.3, 0.5, 0.4])
    (trend,) = follow_figures(read_history(tmp_path))
    series = next(one for one in trend.series if one.last.name == "latency, 1 thread" and "int8" in one.last.file)
    marks = re.findall(r'<use [^>]*?x="([\d.]+)" y="([\d.]+)"[^>]*?style="fill: #0072b2', draw_trend(trend, [series]).decode())
    x, y = ([float(number) for number in axis] for axis in zip(*marks, strict=True))
    assert len(marks) == 3
    assert x[1] - x[0] == pytest.approx(x[2] - x[1])
    # An axis downwards, linear in the value.
    first, second, third = (figure.value for figure in series.figures)
    assert (y[1] - y[0]) / (y[2] - y[0]) == pytest.approx((second - first) / (third - first), rel=1e-4)
