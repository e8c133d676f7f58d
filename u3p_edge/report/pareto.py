"""pareto.svg: mean Dice against latency, and the Pareto front: the networks that no other one beats in both.

The colour shows the number type and the shape shows the file format. Every mark has a number, and the legend below the plot
says which network that is. The same run gives the same bytes. Where the reader's system requests a dark page, all lightness is
inverted, and hues stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from u3p_edge.benchmark.intervals import mean_dice_interval
from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.statistics import Interval, quartiles
from u3p_edge.report.plot_style import WIDTH, colour_of, plot_context, to_svg
from u3p_edge.text import thread_count, to_xml

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEAST_SPAN = 1.0
"""Least range of the vertical axis in points of Dice, so that a negligible difference does not look like a real one."""

LEAST_RATIO = 1.5
"""Least ratio of the latencies at the two ends of the horizontal axis."""

CLOSE = 0.03
"""Marks that are closer than this share of both axes share one text with all their numbers."""

PLOT, ROW = 4.6, 0.23
"""Height of the plot and of a line of the legend, in inches."""

SHAPES = {"tflite": "o", "onnx": "s"}
"""Mark of each file format; all others have a diamond."""

DARK = "@media (prefers-color-scheme: dark) { svg { filter: invert(1) hue-rotate(180deg) } }"


@dataclass(frozen=True)
class ParetoPoint:
    """One network.

    Args:
        name: its name in the legend.
        latency: median and quartiles in ms, above 0.
        dice: mean foreground Dice, 0..1.
        format: e.g. "tflite-int8", which decides shape and colour of the mark.
        dice_interval: 95 % interval of the Dice over groups; None where it has none.
    """

    name: str
    latency: Interval
    dice: float
    format: str = ""
    dice_interval: Interval | None = None

    @property
    def values(self) -> str:
        """E.g. "Dice 86.55 (85.1 to 87.6), 17.2 ms (16.9 to 17.6)": Dice and its interval, median latency and its quartiles."""
        latency, interval = self.latency, self.dice_interval
        bounds = f" ({100 * interval.low:.1f} to {100 * interval.high:.1f})" if interval else ""
        return f"Dice {100 * self.dice:.2f}{bounds}, {latency.estimate:.4g} ms ({latency.low:.4g} to {latency.high:.4g})"


def list_points(result: RunResult, threads: int = 1) -> tuple[ParetoPoint, ...]:
    """List the artifacts with both a Dice and a latency at that number of threads."""
    return tuple(
        ParetoPoint(
            to_xml(a.name.removeprefix("model.")), quartiles(latency.samples_ms), dice, a.format, mean_dice_interval(accuracy)
        )
        for a in result.artifacts
        if (accuracy := a.accuracy) and (dice := accuracy.mean_dice) is not None and (latency := a.latency(threads))
    )


def find_front(candidates: Sequence[ParetoPoint]) -> tuple[ParetoPoint, ...]:
    """Return the points on the Pareto front, which no other point dominates, the fastest first.

    A point dominates another if its median latency is no higher and its Dice no lower, and at least one of the two is strictly
    better. Equal points do not dominate each other.
    """

    def dominates(a: ParetoPoint, b: ParetoPoint) -> bool:
        no_worse = a.latency.estimate <= b.latency.estimate and a.dice >= b.dice
        return no_worse and (a.latency.estimate < b.latency.estimate or a.dice > b.dice)

    best = [point for point in candidates if not any(dominates(other, point) for other in candidates)]
    return tuple(sorted(best, key=lambda point: point.latency.estimate))


def draw_pareto(result: RunResult, threads: int = 1) -> bytes | None:
    """Return the picture as an SVG document in UTF-8, or None if no artifact has both a Dice and a latency.

    Args:
        result: result of one run.
        threads: number of threads of the latencies.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    points = list_points(result, threads)
    if not points:
        return None
    from matplotlib.figure import Figure

    height = PLOT + ROW * len(points)
    with plot_context():
        figure = Figure((WIDTH, height))
        axes = figure.subplots(gridspec_kw={"top": 1 - 0.35 / height, "bottom": 1 - (PLOT - 0.65) / height})
        _draw_axes(axes, points, threads)
        _draw_points(axes, points)
        axes.legend(loc="upper left", bbox_to_anchor=(0, -0.14), frameon=False, labelspacing=0.4)
        return to_svg(figure).replace(b"</style>", DARK.encode() + b"</style>", 1)


def _draw_axes(axes: Axes, points: Sequence[ParetoPoint], threads: int) -> None:
    """Draw the axes around the points with a margin on all sides, and the front's line: the best Dice within that time."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    low, high = min(p.latency.low for p in points), max(p.latency.high for p in points)
    middle, reach = (low * high) ** 0.5, max(high / low, LEAST_RATIO) ** 0.6
    axes.set_xscale("log")
    axes.set_xlim(middle / reach, middle * reach)
    intervals = [p.dice_interval or Interval(p.dice, p.dice, p.dice) for p in points]
    scores = [100 * score for one in intervals for score in (one.estimate, one.low, one.high)]
    centre, span = (min(scores) + max(scores)) / 2, 0.6 * max(max(scores) - min(scores), LEAST_SPAN)
    axes.set_ylim(centre - span, centre + span)
    axes.xaxis.set_major_locator(MaxNLocator(6) if reach**2 < 5 else LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.3)
    bars = "quartiles of the latency" + (", 95 % intervals of Dice" if any(p.dice_interval for p in points) else "")
    axes.set_title(f"Filled: on the Pareto front, the dashed line. Bars: {bars}.", loc="left", fontsize=9)
    axes.set_xlabel(f"latency at {thread_count(threads)}, median, ms (log scale)")
    axes.set_ylabel("mean Dice, points")
    front = find_front(points)
    times, heights = [p.latency.estimate for p in front], [100 * p.dice for p in front]
    axes.step([*times, middle * reach], [*heights, heights[-1]], "--", where="post", color="0.4", gid="front")


def _draw_points(axes: Axes, points: Sequence[ParetoPoint]) -> None:
    """Draw the marks with their bars, and their numbers from 1 above them and to the right."""
    front, shared = find_front(points), dict[tuple[float, float], list[str]]()
    for number, point in enumerate(points, 1):
        container, colour = point.format.partition("-")[0], colour_of(point.format)
        x, y, latency = point.latency.estimate, 100 * point.dice, point.latency
        options: dict[str, Any] = {} if point in front else {"markerfacecolor": "white"}
        reach = _reach(100 * point.dice, point.dice_interval)
        mark, *_ = axes.errorbar(
            x, y, xerr=[[x - latency.low], [latency.high - x]], yerr=reach, elinewidth=1, color=colour,
            fmt=SHAPES.get(container, "D"), label=f"{number}. {point.name}: {point.values}", **options,
        )  # fmt: skip
        mark.set_gid(f"point {point.name}")
        u, v = (axes.transScale + axes.transLimits).transform((x, y))
        spot = next((s for s in shared if max(abs(s[0] - u), abs(s[1] - v)) < CLOSE), (float(u), float(v)))
        shared.setdefault(spot, []).append(str(number))
    for spot, numbers in shared.items():
        axes.annotate(", ".join(numbers), spot, (5, 5), xycoords="axes fraction", textcoords="offset points", fontweight="bold")


def _reach(points: float, interval: Interval | None) -> list[list[float]] | None:
    """Return how far an interval (0..1) reaches below and above a Dice in points; a bootstrap's need not hold the Dice."""
    if interval is None:
        return None
    return [[max(points - 100 * interval.low, 0)], [max(100 * interval.high - points, 0)]]
