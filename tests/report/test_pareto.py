"""The Pareto plot: the front is the front, every network has its mark and a line of the legend, and the axes are true."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.paths import REPOSITORY
from tests.support.sample_results import artifact, result
from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.errors import ConfigError
from u3p_edge.report.pareto import (
    BOTTOM,
    LEFT,
    LEGEND,
    RIGHT,
    TOP,
    ParetoPoint,
    choose_log_ticks,
    choose_ticks,
    draw_pareto,
    find_front,
    list_points,
)
from u3p_edge.report.pareto_marks import CLOSE

SVG = "{http://www.w3.org/2000/svg}"


def point(name: str, ms: float, dice: float, **options: object) -> ParetoPoint:
    return ParetoPoint(name, Interval(ms, 0.95 * ms, 1.1 * ms), dice, **options)  # type: ignore[arg-type]


def run(*networks: tuple[str, float, float]) -> RunResult:
    """A result of networks by name, time relative to 100 ms and mean Dice."""
    artifacts = tuple(
        artifact(name, relative=relative, dice=dice + 0.01, peak=90, size=4, seed=i)
        for i, (name, relative, dice) in enumerate(networks)
    )
    return dataclasses.replace(result(), artifacts=artifacts, reference=networks[0][0])


USUAL = run(
    ("reference.float32.tflite", 1, 0.8662),
    ("model.float32.tflite", 0.62, 0.8662),
    ("model.float16.tflite", 0.615, 0.8661),
    ("model.int8.tflite", 0.172, 0.8655),
    ("model.float32.onnx", 0.78, 0.8662),
    ("model.int8.onnx", 0.25, 0.8654),
)


def parsed(picture: bytes | None) -> ElementTree.Element:
    assert picture is not None
    return ElementTree.fromstring(picture)


def by_class(svg: ElementTree.Element, kind: str) -> list[ElementTree.Element]:
    return [element for element in svg.iter() if kind in element.get("class", "").split()]


def marks(svg: ElementTree.Element) -> dict[str, tuple[float, float, bool]]:
    """Centre of each mark, and whether it is filled."""
    actual = {}
    for group in by_class(svg, "point"):
        mark = by_class(group, "mark")[0]
        if mark.tag == f"{SVG}circle":
            x, y = float(mark.attrib["cx"]), float(mark.attrib["cy"])
        elif mark.tag == f"{SVG}rect":
            x, y = (float(mark.attrib[a]) + float(mark.attrib[b]) / 2 for a, b in (("x", "width"), ("y", "height")))
        else:
            corners = [tuple(map(float, corner.split(","))) for corner in mark.attrib["points"].split()]
            x, y = (sum(axis) / len(corners) for axis in zip(*corners, strict=True))
        actual[group.attrib["data-name"]] = (x, y, "hollow" not in mark.attrib["class"])
    return actual


def legend(svg: ElementTree.Element) -> dict[str, str]:
    """The values of each network by its name, in the order of the numbers."""
    names = [(text.text or "").split(". ", 1) for text in by_class(svg, "legend")]
    assert [number for number, _ in names] == [str(number) for number in range(1, len(names) + 1)]
    return dict(zip((name for _, name in names), (text.text or "" for text in by_class(svg, "values")), strict=True))


COORDINATES = st.tuples(st.integers(1, 6), st.integers(0, 6))
"""Few values, so that ties are common."""


@given(st.lists(COORDINATES, min_size=1, max_size=12))
def test_no_front_point_is_dominated_and_every_other_is(coordinates: list[tuple[int, int]]) -> None:
    candidates = [point(str(i), float(ms), dice / 6) for i, (ms, dice) in enumerate(coordinates)]
    best = find_front(candidates)
    assert len(set(best)) == len(best) > 0

    def beaten(one: ParetoPoint, by: list[ParetoPoint]) -> bool:
        return any(
            (o.latency.estimate < one.latency.estimate and o.dice >= one.dice)
            or (o.latency.estimate <= one.latency.estimate and o.dice > one.dice)
            for o in by
        )

    on = [p for p in candidates if p.name in best]
    assert not any(beaten(p, candidates) for p in on)
    assert all(beaten(p, on) for p in candidates if p.name not in best), "by one of the front already"
    times = [candidates[int(name)].latency.estimate for name in best]
    assert times == sorted(times)


def test_equals_are_both_on_the_front_and_a_tie_in_one_is_decided_by_the_other() -> None:
    twins = [point("a", 5, 0.9), point("b", 5, 0.9)]
    assert find_front(twins) == ("a", "b")
    assert find_front([*twins, point("as fast, better", 5, 0.91)]) == ("as fast, better",)
    assert find_front([*twins, point("as good, faster", 4, 0.9)]) == ("as good, faster",)
    assert find_front([]) == ()


def test_every_network_has_a_mark_and_a_line_of_the_legend() -> None:
    extra = point("plain UNet & friends <1>", 31, 0.853, interval=(0.846, 0.861))
    svg = parsed(draw_pareto(USUAL, [extra]))
    names = [a.name.removeprefix("model.") for a in USUAL.artifacts] + [extra.name]
    assert list(marks(svg)) == list(legend(svg)) == names
    assert legend(svg)[extra.name] == "Dice 85.30, 31 ms (29.45 to 34.1)"
    titles = {group.attrib["data-name"]: group.findtext(f"{SVG}title") for group in by_class(svg, "point")}
    assert titles == {name: f"{name}: {values}" for name, values in legend(svg).items()}
    kinds = {group.attrib["data-name"]: by_class(group, "mark")[0].tag.removeprefix(SVG) for group in by_class(svg, "point")}
    assert kinds["int8.tflite"] == "circle"
    assert kinds["int8.onnx"] == "rect"
    assert kinds[extra.name] == "polygon"
    for group, key in zip(by_class(svg, "point"), by_class(svg, "key"), strict=True):
        mark, sample = by_class(group, "mark")[0], by_class(key, "mark")[0]
        assert (mark.tag, mark.get("class")) == (sample.tag, sample.get("class"))
        assert group.attrib["class"].removeprefix("point") == key.attrib["class"].removeprefix("key"), "one colour"
    lines = [float(text.attrib["y"]) for text in by_class(svg, "legend")]
    assert lines == sorted(set(lines))
    assert LEGEND < lines[0] <= lines[-1] < float(svg.attrib["height"])


def test_the_front_is_filled_and_joined_by_a_line() -> None:
    svg = parsed(draw_pareto(USUAL))
    assert {name for name, (_, _, filled) in marks(svg).items() if filled} == set(find_front(list_points(USUAL)))
    line = [tuple(map(float, corner.split(","))) for corner in by_class(svg, "front")[0].attrib["points"].split()]
    assert line[0][1] == BOTTOM
    assert line[-1][0] == RIGHT
    assert all(a[0] == b[0] or a[1] == b[1] for a, b in pairwise(line)), "a step line"
    assert all(a[0] <= b[0] and a[1] >= b[1] for a, b in pairwise(line)), "slower only where better"
    for x, y, filled in marks(svg).values():
        # Both are written to a tenth of a pixel.
        assert not filled or min(math.dist((x, y), corner) for corner in line) < 0.2


def test_bars_are_the_quartiles_and_the_interval() -> None:
    svg = parsed(draw_pareto(USUAL, [point("known", 50, 0.86, interval=(0.85, 0.865)), point("unknown", 60, 0.86)]))
    bars = {group.attrib["data-name"]: by_class(group, "bar") for group in by_class(svg, "point")}
    assert [len(bars[name]) for name in ("int8.tflite", "known", "unknown")] == [1, 2, 1]
    across, upright = bars["known"]
    x, y, _ = marks(svg)["known"]
    assert float(across.attrib["x1"]) < x < float(across.attrib["x2"])
    assert float(upright.attrib["y1"]) > y > float(upright.attrib["y2"]), "the lower Dice is further down"


NETWORKS = st.lists(st.tuples(st.floats(0.01, 1e4), st.floats(0, 1)), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(NETWORKS)
def test_positions_follow_the_values_and_stay_inside(networks: list[tuple[float, float]]) -> None:
    extra = [point(f"n{i}", ms, dice) for i, (ms, dice) in enumerate(networks)]
    actual = marks(parsed(draw_pareto(run(("model.float32.tflite", 1, 0.9)), extra)))
    for a, b in combinations(extra, 2):
        if a.latency.estimate <= b.latency.estimate:
            assert actual[a.name][0] <= actual[b.name][0]
        if a.dice <= b.dice:
            assert actual[a.name][1] >= actual[b.name][1]
    for x, y, _ in actual.values():
        assert LEFT < x < RIGHT
        assert TOP < y < BOTTOM


@settings(max_examples=50, deadline=None)
@given(NETWORKS)
def test_every_number_is_beside_its_mark_or_in_the_text_of_one_nearby(networks: list[tuple[float, float]]) -> None:
    extra = [point(f"n{i}", ms, dice) for i, (ms, dice) in enumerate(networks)]
    svg = parsed(draw_pareto(run(("model.float32.tflite", 1, 0.9)), extra))
    texts = {
        int(number): (float(text.attrib["x"]), float(text.attrib["y"]))
        for text in by_class(svg, "number")
        for number in (text.text or "").split(", ")
    }
    centres = list(marks(svg).values())
    assert sorted(texts) == list(range(1, len(centres) + 1))
    for number, (x, y, _) in enumerate(centres, 1):
        across, up = texts[number][0] - x, y - texts[number][1]
        # A text begins 8 pixels to the right of a mark and 8 above it; positions are rounded to tenths.
        assert max(abs(across - 8), abs(up - 8)) < CLOSE + 0.2


@given(st.floats(1e-3, 1e5), st.floats(1.5, 1e6))
@example(0.3333333333333333, 1.9)  # a third of the span is one float64 step below 0.1
def test_ticks_are_inside_enough_and_not_too_many(low: float, ratio: float) -> None:
    for actual in (choose_log_ticks(low, low * ratio), choose_ticks(low, low * ratio)):
        assert 2 <= len(actual) <= 12
        assert actual == sorted(set(actual))
        assert all(low * (1 - 1e-6) <= tick <= low * ratio * (1 + 1e-6) for tick in actual)


def test_ticks_are_round() -> None:
    assert choose_log_ticks(8, 300) == [10, 20, 50, 100, 200]
    assert choose_log_ticks(90, 130) == pytest.approx([90, 100, 110, 120, 130])
    assert choose_ticks(82.6, 87.1) == pytest.approx([83, 84, 85, 86, 87])


def test_axes_say_what_they_are_and_in_which_units() -> None:
    svg = parsed(draw_pareto(USUAL))
    message = [text.text for text in by_class(svg, "axis")]
    assert message == ["latency at 1 thread, median, ms (log scale)", "mean Dice, points"]
    assert "latency at 2 threads, median, ms (log scale)" in [
        t.text for t in by_class(parsed(draw_pareto(USUAL, threads=2)), "axis")
    ]
    across = [(float(tick.text or ""), float(tick.attrib["x"])) for tick in by_class(svg, "x-tick")]
    upward = [(float(tick.text or ""), float(tick.attrib["y"])) for tick in by_class(svg, "y-tick")]
    assert len(across) >= 2
    assert len(upward) >= 3
    steps = [(x2 - x1) / math.log(v2 / v1) for (v1, x1), (v2, x2) in pairwise(across)]
    assert steps == pytest.approx([steps[0]] * len(steps), rel=0.01)
    assert upward == sorted(upward, key=lambda tick: -tick[1])


def test_no_difference_is_shown_as_one() -> None:
    """Of networks that are alike to 0.01 points, the vertical axis still spans more than a point."""
    svg = parsed(draw_pareto(run(("model.float32.tflite", 1, 0.9), ("model.int8.tflite", 0.5, 0.9001))))
    heights = [y for _, y, _ in marks(svg).values()]
    assert abs(heights[0] - heights[1]) < 0.01 * (BOTTOM - TOP)


def test_the_same_run_gives_the_same_bytes_for_light_and_dark_pages() -> None:
    picture = draw_pareto(USUAL)
    assert picture == draw_pareto(USUAL)
    assert picture is not None
    assert picture.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n<svg ")
    assert b"prefers-color-scheme: dark" in picture
    assert by_class(parsed(picture), "paper"), "text is never on the page's own colour"


@pytest.mark.parametrize("missing", ["accuracy", "latencies"])
def test_nothing_measured_is_no_picture(missing: str) -> None:
    empty: dict[str, tuple[()] | None] = {"accuracy": None, "latencies": ()}
    artifacts = tuple(dataclasses.replace(a, **{missing: empty[missing]}) for a in USUAL.artifacts)  # type: ignore[arg-type]
    assert draw_pareto(dataclasses.replace(USUAL, artifacts=artifacts)) is None
    assert draw_pareto(USUAL, threads=7) is None
    one = dataclasses.replace(USUAL, artifacts=(USUAL.artifacts[0], *artifacts[1:]))
    assert list(marks(parsed(draw_pareto(one)))) == ["reference.float32.tflite"]


def test_two_points_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="one name"):
        draw_pareto(USUAL, [point("int8.tflite", 1, 0.9)])


def test_the_plot_needs_neither_tensorflow_nor_a_plotting_library() -> None:
    code = (
        "import sys, u3p_edge.report.pareto;"
        "print({'tensorflow', 'tf_keras', 'ai_edge_litert', 'onnxruntime', 'scipy', 'matplotlib', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "set()"
