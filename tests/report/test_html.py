"""report.html is well-formed and complete: no name from a stranger becomes an element, and nothing is read from outside."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import re
from importlib.util import find_spec

import numpy as np
import pytest

from tests.support.html_page import Page
from tests.support.sample_results import result, with_group_dice
from u3p_edge.benchmark.result import RunResult
from u3p_edge.report.html import NO_PLOTS, render_html
from u3p_edge.report.html_parts import make_rows, show_plot
from u3p_edge.report.latency_plot import draw_latencies
from u3p_edge.report.markdown import render, summary_header, summary_rows
from u3p_edge.report.pareto import draw_pareto
from u3p_edge.report.sections import Section

EVIL = "</td><script>alert(1)</script><img src=x onerror='alert(2)'>\" onload=\"alert(3)\u202e & ]]>"


def hostile() -> RunResult:
    """A result in which every name is one that would break out of its element."""
    value = result()
    first, second = value.artifacts
    assert value.data is not None
    files = (dataclasses.replace(first, name=EVIL), dataclasses.replace(second, name=f"int8 {EVIL}"))
    data = dataclasses.replace(value.data, name=EVIL)
    classes = ("background", EVIL, "right")
    return dataclasses.replace(value, artifacts=files, reference=EVIL, class_names=classes, command=EVIL, data=data)


@pytest.mark.parametrize("value", [with_group_dice(result(), lost=0.25), hostile()], ids=["usual", "hostile"])
def test_the_page_is_well_formed_and_reads_nothing_from_outside(value: RunResult) -> None:
    text = render_html(value, title=EVIL, notes=[f"**{EVIL}**"], pictures={"a.png": b"png"}, samples="a.png")
    page = Page(text)
    assert page.open == []
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not re.search(r"(https?:)?//[a-z]", re.sub(r"^// A click.*|  // ", "", text, flags=re.MULTILINE)), "an address"
    for _, attributes in page.elements:
        assert re.match(r"(data:image/png;base64,|#)", attributes.get("src", attributes.get("href", "#")))
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    named = re.findall(r'url\(#([^)]+)\)| href="#([^"]+)"', text)
    assert named, "clips and marks of the plots"
    assert {a or b for a, b in named} == set(identifiers)


def test_the_policy_allows_the_one_script_and_no_request() -> None:
    text = render_html(result())
    policy = next(a["content"] for tag, a in Page(text).elements if a.get("http-equiv") == "Content-Security-Policy")
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert policy.split("; ")[:4] == [
        "default-src 'none'", "img-src data:", "style-src 'unsafe-inline'", f"script-src 'sha256-{digest}'",
    ]  # fmt: skip


def test_it_says_what_the_markdown_says() -> None:
    value = with_group_dice(result(), lost=0.25)
    page, markdown = (
        Page(render_html(value, notes=["One note."], sections=[Section("More", "", ("a",), [["b"]])])),
        render(value),
    )
    assert page.rows[: 1 + len(value.artifacts)] == [summary_header(value), *summary_rows(value)]
    assert [row for row in page.rows if len(row) == 1] == [["a"], ["b"]]
    for heading in re.findall(r"^#+ (.*)$", markdown, re.MULTILINE):
        assert heading.replace("\\", "") in page.text
    for part in ("One note.", value.artifacts[0].sha256, value.command, "Some CPU", "Dice against latency"):
        assert part in page.text


def test_numbers_carry_their_value_and_words_do_not() -> None:
    cells = ["0.38 ms (0.37–0.39), ×0.36", "×1.250 (1.2 to 1.3)", "-0.25 (-1 to 0)", "90 %", "–", "1 thread", "2x2", "a 1"]
    html = make_rows(["file", *cells], [["9.tflite", *cells]], "all")
    values = [a.get("data-value") for tag, a in Page(html).elements if tag == "td"]
    assert values == ["0.38", "1.250", "-0.25", "90", None, "1", None, None]


def test_a_picture_is_inside_with_its_words() -> None:
    text = render_html(result(), pictures={"a.png": b"\x89PNG"}, samples="a.png")
    pictures = [a for tag, a in Page(text).elements if tag == "img"]
    assert [(a["alt"], base64.b64decode(a["src"].partition(",")[2])) for a in pictures] == [
        ("input, truth, masks and their difference", b"\x89PNG")
    ]


def test_every_round_of_every_file_is_drawn_at_its_time() -> None:
    value = result()
    picture = draw_latencies(value)
    assert picture == draw_latencies(value), "the same result gives the same bytes"
    assert picture is not None
    groups = re.findall(r'<g id="rounds (\d)">(.*?)</g>\s*</g>', picture.decode(), re.DOTALL)
    assert [row for row, _ in groups] == ["0", "1", "0", "1"], "two files at 1 and at 2 threads"
    drawn = [[float(x) for x in re.findall(r'<use .*?x="([\d.]+)"', marks)] for _, marks in groups]
    for threads, rows in ((1, drawn[:2]), (2, drawn[2:])):
        places = np.concatenate(rows)
        times = np.log(np.concatenate([entry.samples_ms for entry in value.latencies(threads)]))
        slope, start = np.polyfit(times, places, 1)
        # The file has six decimals of a point; a picture of 547 points with a wrong axis is off by far more than 0.001.
        assert np.abs(slope * times + start - places).max() < 1e-3
    bare = dataclasses.replace(value, artifacts=tuple(dataclasses.replace(a, latencies=()) for a in value.artifacts))
    assert draw_latencies(bare) is None


def test_a_plot_in_the_page_has_the_words_and_marks_of_the_file() -> None:
    picture = draw_pareto(hostile())
    assert picture is not None
    inside = show_plot(picture, "pareto", 'a "plot"')
    page = Page(inside)
    assert (page.elements[1][0], page.elements[1][1]["aria-label"]) == ("svg", 'a "plot"')
    assert len(re.findall(r"<use ", inside)) == len(re.findall(rb"<use ", picture))
    assert "mean Dice, points" in page.text
    assert "<script" not in inside


def test_without_matplotlib_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("u3p_edge.report.html.find_spec", lambda name: None if name == "matplotlib" else find_spec(name))
    page = Page(render_html(result()))
    assert NO_PLOTS in page.text
    assert "svg" not in [tag for tag, _ in page.elements]
