"""pareto.svg: mean Dice against latency, and the Pareto front: the networks that no other one beats in both.

The picture is written directly as SVG. That is text that a diff can show, gives the same bytes for the same run, and needs no
plotting library, which would be the report's largest dependency by far. Its background is light or dark as the reader's system
requests, so it is readable on any page. The colour shows the number type and the shape shows the file format.
Every mark has a number, and the legend below the plot says which network that is.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.statistics import Interval, quartiles
from u3p_edge.errors import ConfigError
from u3p_edge.report.pareto_marks import ROW, STYLE, Spot, add, draw_legend, draw_numbers, draw_shape
from u3p_edge.text import thread_count, to_xml

WIDTH = 760
LEFT, RIGHT, TOP, BOTTOM = 64, 736, 64, 404
"""The edges of the plot in the picture, in pixels."""

LEGEND = BOTTOM + 58
"""Vertical position of the legend's upper edge, in pixels."""

LEAST_SPAN = 0.01
"""Least range of Dice on the vertical axis: one point, so that a negligible difference does not look like a real one."""

LEAST_RATIO = 1.5
"""Least ratio of the latencies at the two ends of the horizontal axis."""


@dataclass(frozen=True)
class ParetoPoint:
    """One network.

    Args:
        name: its name in the legend, which is unique.
        latency: median and quartiles in ms, above 0.
        dice: mean foreground Dice, 0..1.
        interval: interval of the Dice, (low, high); None if it is not known.
        format: e.g. "tflite-int8", which decides shape and colour of the mark; other formats have a diamond.
    """

    name: str
    latency: Interval
    dice: float
    interval: tuple[float, float] | None = None
    format: str = ""


def list_points(result: RunResult, threads: int = 1) -> tuple[ParetoPoint, ...]:
    """List the artifacts with both a Dice and a latency at that number of threads."""
    return tuple(
        ParetoPoint(a.name.removeprefix("model."), quartiles(latency.samples_ms), dice, format=a.format)
        for a in result.artifacts
        if a.accuracy and (dice := a.accuracy.mean_dice) is not None and (latency := a.latency(threads))
    )


def find_front(candidates: Sequence[ParetoPoint]) -> tuple[str, ...]:
    """Return the names of the points on the Pareto front, which no other point dominates, the fastest first.

    A point dominates another if its median latency is no higher and its Dice no lower, and at least one of the two is strictly
    better. Equal points do not dominate each other.
    """

    def dominates(a: ParetoPoint, b: ParetoPoint) -> bool:
        no_worse = a.latency.estimate <= b.latency.estimate and a.dice >= b.dice
        return no_worse and (a.latency.estimate < b.latency.estimate or a.dice > b.dice)

    best = [point for point in candidates if not any(dominates(other, point) for other in candidates)]
    return tuple(point.name for point in sorted(best, key=lambda point: point.latency.estimate))


def draw_pareto(result: RunResult, extra: Sequence[ParetoPoint] = (), threads: int = 1) -> bytes | None:
    """Return the picture as an SVG document in UTF-8, or None if no artifact has both a Dice and a latency.

    Args:
        result: result of one run.
        extra: more points, measured on the same machine and images.
        threads: number of threads of the latencies.

    Raises:
        ConfigError: two points have the same name.
    """
    points = list_points(result, threads)
    if not points:
        return None
    # XML forbids control characters, which names and formats in a result may contain.
    shown = tuple(dataclasses.replace(p, name=to_xml(p.name), format=to_xml(p.format)) for p in (*points, *extra))
    if len({point.name for point in shown}) < len(shown):
        raise ConfigError("two points of the Pareto plot have one name")
    best = find_front(shown)
    axes = Axes.around(shown)
    svg = _page(LEGEND + ROW * len(shown) + 12)
    _titles(svg, threads)
    _draw_axes(svg, axes)
    stairs = _stairs([next(point for point in shown if point.name == name) for name in best], axes)
    add(svg, "polyline", "front", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in stairs))
    for point in shown:
        _mark(svg, point, axes, point.name in best)
    draw_numbers(svg, [(axes.x(point.latency.estimate), axes.y(point.dice)) for point in shown])
    draw_legend(svg, [(p.name, _values(p), p.format, p.name in best) for p in shown], LEFT, RIGHT, LEGEND)
    ElementTree.indent(svg)
    return bytes(ElementTree.tostring(svg, encoding="utf-8", xml_declaration=True)) + b"\n"


def _page(height: float) -> ElementTree.Element:
    svg = ElementTree.Element("svg", xmlns="http://www.w3.org/2000/svg", width=str(WIDTH), height=f"{height:.0f}")
    svg.attrib |= {"viewBox": f"0 0 {WIDTH} {height:.0f}", "role": "img", "aria-label": "mean Dice against latency"}
    ElementTree.SubElement(svg, "style").text = STYLE
    add(svg, "rect", "paper", width=WIDTH, height=height)
    return svg


@dataclass(frozen=True)
class Axes:
    """The values at the plot's edges: milliseconds, on a logarithmic axis, and Dice."""

    fastest: float
    slowest: float
    worst: float
    best: float

    @classmethod
    def around(cls, shown: Sequence[ParetoPoint]) -> Axes:
        """Return the axes around the points, with a margin on all sides."""
        logs = [math.log(ms) for point in shown for ms in (point.latency.low, point.latency.high)]
        dice = [value for point in shown for value in (point.dice, *(point.interval or ()))]
        left, right = _widened(min(logs), max(logs), math.log(LEAST_RATIO))
        worst, best = _widened(min(dice), max(dice), LEAST_SPAN)
        return cls(math.exp(left), math.exp(right), worst, best)

    def x(self, ms: float) -> float:
        """Return the pixels from the picture's left edge."""
        return LEFT + (RIGHT - LEFT) * math.log(ms / self.fastest) / math.log(self.slowest / self.fastest)

    def y(self, dice: float) -> float:
        """Return the pixels from the picture's top edge."""
        return BOTTOM - (BOTTOM - TOP) * (dice - self.worst) / (self.best - self.worst)


def _widened(low: float, high: float, least: float) -> tuple[float, float]:
    middle, half = (low + high) / 2, max(high - low, least) * 0.6
    return middle - half, middle + half


def choose_ticks(low: float, high: float) -> list[float]:
    """Return three to eight evenly spaced round numbers between the two."""
    step = 10 ** math.floor(math.log10((high - low) / 3))
    # The logarithm of a number just below a power of ten may be rounded up to that power; then the step is that power.
    step *= next((factor for factor in (5, 2) if factor * step <= (high - low) / 3), 1)
    return [i * step for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def choose_log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers for a logarithmic axis: 1, 2 and 5 of every decade; evenly spaced ones if that would be too few."""
    if high < 5 * low:
        return choose_ticks(low, high)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high < 2000 * low else (1,)
    return [tick for decade in decades for f in factors if low <= (tick := f * 10.0**decade) <= high]


def _titles(svg: ElementTree.Element, threads: int) -> None:
    add(svg, "text", "title", "Accuracy against speed", x=LEFT, y=26)
    meaning = "Filled: on the Pareto front, the dashed line. Bars: quartiles of the latency, interval of the Dice."
    add(svg, "text", "quiet", meaning, x=LEFT, y=46)
    across, middle = (LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2
    latency = f"latency at {thread_count(threads)}, median, ms (log scale)"
    add(svg, "text", "axis", latency, x=across, y=BOTTOM + 42, text_anchor="middle")
    turned = f"rotate(-90 18 {middle:.1f})"
    add(svg, "text", "axis", "mean Dice, points", x=18, y=middle, text_anchor="middle", transform=turned)
    add(svg, "text", "quiet", "↖ better", x=LEFT + 8, y=TOP + 18)


def _draw_axes(svg: ElementTree.Element, axes: Axes) -> None:
    for ms in choose_log_ticks(axes.fastest, axes.slowest):
        x = axes.x(ms)
        add(svg, "line", "grid", x1=x, x2=x, y1=TOP, y2=BOTTOM)
        add(svg, "text", "quiet x-tick", f"{ms:.6g}", x=x, y=BOTTOM + 18, text_anchor="middle")
    for dice in choose_ticks(100 * axes.worst, 100 * axes.best):
        if 0 <= dice <= 100:
            y = axes.y(dice / 100)
            add(svg, "line", "grid", x1=LEFT, x2=RIGHT, y1=y, y2=y)
            add(svg, "text", "quiet y-tick", f"{dice:.6g}", x=LEFT - 8, y=y + 4, text_anchor="end")


def _stairs(best: Sequence[ParetoPoint], axes: Axes) -> list[Spot]:
    """Return the corners of the front's line: the best Dice that can be reached in at most that time."""
    corners = [(axes.x(best[0].latency.estimate), float(BOTTOM))]
    for point in best:
        corners += [(axes.x(point.latency.estimate), corners[-1][1]), (axes.x(point.latency.estimate), axes.y(point.dice))]
    return [*corners[1:], (float(RIGHT), corners[-1][1])]


def _mark(svg: ElementTree.Element, point: ParetoPoint, axes: Axes, filled: bool) -> None:
    container, _, number = point.format.partition("-")
    x, y = axes.x(point.latency.estimate), axes.y(point.dice)
    group = ElementTree.SubElement(svg, "g", {"class": f"point {number}".strip(), "data-name": point.name})
    ElementTree.SubElement(group, "title").text = f"{point.name}: {_values(point)}"
    add(group, "line", "bar", x1=axes.x(point.latency.low), x2=axes.x(point.latency.high), y1=y, y2=y)
    if point.interval:
        add(group, "line", "bar", x1=x, x2=x, y1=axes.y(point.interval[0]), y2=axes.y(point.interval[1]))
    draw_shape(group, container, (x, y), filled)


def _values(point: ParetoPoint) -> str:
    """Return e.g. "Dice 86.55, 17.2 ms (16.9 to 17.6)": the median latency and its quartiles."""
    latency = point.latency
    return f"Dice {100 * point.dice:.2f}, {latency.estimate:.4g} ms ({latency.low:.4g} to {latency.high:.4g})"
