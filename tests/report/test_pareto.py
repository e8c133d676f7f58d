"""The Pareto plot: the front is the front, every network has its mark and a line of the legend, and the axes are true."""

from __future__ import annotations

import dataclasses
import re
import warnings
from itertools import combinations
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.sample_results import artifact, result, with_group_dice
from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.report.front import front_cells
from u3p_edge.report.pareto import ParetoPoint, draw_pareto, find_front, list_points

SVG = "{http://www.w3.org/2000/svg}"


def point(name: str, ms: float, dice: float) -> ParetoPoint:
    return ParetoPoint(name, Interval(ms, 0.95 * ms, 1.1 * ms), dice)


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


def marks(svg: ElementTree.Element) -> dict[str, tuple[float, float, str]]:
    """Centre and style of each mark."""
    uses = {
        group.attrib["id"].removeprefix("point "): use
        for group in svg.iter(f"{SVG}g")
        if group.get("id", "").startswith("point ")
        for use in group.iter(f"{SVG}use")
    }
    return {name: (float(use.attrib["x"]), float(use.attrib["y"]), use.attrib["style"]) for name, use in uses.items()}


def texts(svg: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in svg.iter(f"{SVG}text")]


COORDINATES = st.tuples(st.integers(1, 6), st.integers(0, 6))
"""Few values, so that ties are common."""


@settings(deadline=None)  # the machine is shared
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

    assert not any(beaten(p, candidates) for p in best)
    assert all(beaten(p, list(best)) for p in candidates if p not in best), "by one of the front already"
    times = [p.latency.estimate for p in best]
    assert times == sorted(times)


def test_equals_are_both_on_the_front_and_a_tie_in_one_is_decided_by_the_other() -> None:
    twins = [point("a", 5, 0.9), point("b", 5, 0.9)]
    assert find_front(twins) == tuple(twins)
    better, faster = point("as fast, better", 5, 0.91), point("as good, faster", 4, 0.9)
    assert find_front([*twins, better]) == (better,)
    assert find_front([*twins, faster]) == (faster,)
    assert find_front([]) == ()


def test_every_network_has_a_mark_and_a_line_of_the_legend() -> None:
    svg = parsed(draw_pareto(USUAL))
    points = list_points(USUAL)
    assert list(marks(svg)) == [point.name for point in points]
    lines = [text for text in texts(svg) if ": Dice" in text]
    assert lines == [f"{number}. {point.name}: {point.values}" for number, point in enumerate(points, 1)]
    assert point("a", 31, 0.853).values == "Dice 85.30, 31 ms (29.45 to 34.1)"


def test_the_front_is_filled_and_the_others_are_hollow() -> None:
    front = {point.name for point in find_front(list_points(USUAL))}
    filled = {name for name, (_, _, style) in marks(parsed(draw_pareto(USUAL))).items() if "fill: #ffffff" not in style}
    assert filled == front
    assert 0 < len(front) < len(USUAL.artifacts)


def test_the_colour_is_the_number_type() -> None:
    strokes = {
        name: re.findall(r"stroke: (#\w+)", style)[0] for name, (_, _, style) in marks(parsed(draw_pareto(USUAL))).items()
    }
    assert strokes["int8.tflite"] == strokes["int8.onnx"]
    assert strokes["float32.tflite"] == strokes["float32.onnx"]
    assert strokes["int8.tflite"] != strokes["float32.tflite"]


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.02, 0.99)), min_size=1, max_size=6))
def test_positions_follow_the_values(networks: list[tuple[float, float]]) -> None:
    """Faster is further left, better is higher up; positions are written to a millionth of a pixel."""
    points = list_points(result := run(*((f"n{i}", ms, dice) for i, (ms, dice) in enumerate(networks))))
    actual = marks(parsed(draw_pareto(result)))
    for a, b in combinations(points, 2):
        if a.latency.estimate <= b.latency.estimate:
            assert actual[a.name][0] <= actual[b.name][0] + 1e-5
        if a.dice <= b.dice:
            assert actual[a.name][1] >= actual[b.name][1] - 1e-5


def test_marks_of_one_place_share_their_numbers() -> None:
    svg = parsed(draw_pareto(run(("model.float32.tflite", 1, 0.8), ("a", 0.5, 0.9), ("b", 0.5, 0.9))))
    assert {"1", "2, 3"} <= set(texts(svg))


def test_axes_say_what_they_are_and_in_which_units() -> None:
    assert {"latency at 1 thread, median, ms (log scale)", "mean Dice, points"} <= set(texts(parsed(draw_pareto(USUAL))))
    assert "latency at 2 threads, median, ms (log scale)" in texts(parsed(draw_pareto(USUAL, threads=2)))


@pytest.mark.parametrize("slowest", [1, 1.2, 4, 30, 1000])
def test_the_time_axis_has_enough_numbers(slowest: float) -> None:
    svg = parsed(draw_pareto(run(("model.float32.tflite", 1, 0.9), ("slow", slowest, 0.8))))
    axis = next(group for group in svg.iter(f"{SVG}g") if group.get("id") == "matplotlib.axis_1")
    assert 3 <= sum(text.replace(".", "").isdigit() for text in texts(axis)) <= 12


def test_no_difference_is_shown_as_one() -> None:
    """Of networks that are alike to 0.01 points, the vertical axis still spans more than a point."""
    svg = parsed(draw_pareto(run(("model.float32.tflite", 1, 0.9), ("model.int8.tflite", 0.5, 0.9001))))
    heights = [y for _, y, _ in marks(svg).values()]
    # The plot is 3.95 of 4.6 inches high, of 72 points an inch.
    assert abs(heights[0] - heights[1]) < 0.01 * 3.95 * 72


def test_the_same_run_gives_the_same_bytes_for_light_and_dark_pages() -> None:
    picture = draw_pareto(USUAL)
    assert picture == draw_pareto(USUAL)
    assert picture is not None
    assert picture.startswith(b"<?xml ")
    assert b"prefers-color-scheme: dark" in picture
    assert b"<dc:date>" not in picture


@pytest.mark.parametrize("missing", ["accuracy", "latencies"])
def test_nothing_measured_is_no_picture(missing: str) -> None:
    empty: dict[str, tuple[()] | None] = {"accuracy": None, "latencies": ()}
    artifacts = tuple(dataclasses.replace(a, **{missing: empty[missing]}) for a in USUAL.artifacts)  # type: ignore[arg-type]
    assert draw_pareto(dataclasses.replace(USUAL, artifacts=artifacts)) is None
    assert draw_pareto(USUAL, threads=7) is None
    one = dataclasses.replace(USUAL, artifacts=(USUAL.artifacts[0], *artifacts[1:]))
    assert list(marks(parsed(draw_pareto(one)))) == ["reference.float32.tflite"]


def test_dice_has_the_bar_and_the_bounds_of_its_interval() -> None:
    """One pixel of the vertical axis is so many points for marks and for bars."""
    value = with_group_dice(result(), lost=2)
    svg = parsed(draw_pareto(value))
    first, second = list_points(value)
    assert first.dice_interval is not None
    assert second.dice_interval is not None
    assert first.values.startswith(
        f"Dice 80.00 ({100 * first.dice_interval.low:.1f} to {100 * first.dice_interval.high:.1f}), "
    )
    cells = [row[1] for row in front_cells(value, [("a", "", "")])]
    assert [f"Dice {cell}" for cell in cells] == [p.values.split(", ")[0] for p in (first, second)], "as in the table"
    heights = [y for _, y, _ in marks(svg).values()]
    points_a_pixel = 100 * (first.dice - second.dice) / (heights[1] - heights[0])
    lines = [line for path in svg.iter(f"{SVG}path") if (line := vertical(path.get("d", ""))) and path.get("clip-path")]
    lengths = sorted(abs(a - b) * points_a_pixel for x, a, b in lines if any(abs(x - m[0]) < 0.01 for m in marks(svg).values()))
    expected = sorted(100 * (p.dice_interval.high - p.dice_interval.low) for p in (first, second) if p.dice_interval)
    assert lengths == pytest.approx(expected, abs=0.01)


def vertical(path: str) -> tuple[float, float, float] | None:
    """Place and both ends of a path that is one vertical line."""
    match = re.fullmatch(r"M ([\d.]+) ([\d.]+)\s+L ([\d.]+) ([\d.]+)\s*", path)
    return (float(match[1]), float(match[2]), float(match[4])) if match and match[1] == match[3] else None


def test_a_sign_that_the_font_lacks_stays_text_and_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        svg = parsed(draw_pareto(run(("\u2705 心.tflite", 1, 0.8))))
    assert any("\u2705 心.tflite" in text for text in texts(svg))
