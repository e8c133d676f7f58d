"""One figure over the commits of a machine: a row for each file, with intervals, and a line where its level changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from u3p_edge.benchmark.series import MachineTrend, Series
from u3p_edge.config.metadata import PALETTE
from u3p_edge.report.plot_style import WIDTH, plot_context, to_hex, to_svg
from u3p_edge.text import to_xml

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW, TITLE, BELOW = 1.2, 0.3, 0.5
"""Height of a file's row with its title, of a title, and of what is below the rows, in inches."""

LEAST_SPAN = 0.04
"""Least range of a row's vertical axis, as a share of its middle, so that a negligible change does not look like a real one."""

MOST_LABELS = 10
"""Commits that are named below the plot."""

SHORT = 7
"""Characters of a commit's name that are shown, as git shortens it."""

LINE, CHANGE = to_hex(PALETTE[5]), to_hex(PALETTE[6])


def draw_trend(trend: MachineTrend, series: Sequence[Series]) -> bytes:
    """Return the picture as an SVG document in UTF-8.

    Args:
        trend: of the machine, whose commits are the horizontal axis.
        series: one or more of it, all of one title; each is a row, with a vertical axis of its own.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    with plot_context():
        height = ROW * len(series) + BELOW
        figure = Figure((WIDTH, height))
        edges = {"left": 0.09, "right": 0.98, "bottom": BELOW / height, "top": 1 - TITLE / height, "hspace": 0.5}
        rows = figure.subplots(len(series), squeeze=False, sharex=True, gridspec_kw=edges)[:, 0]
        for axes, one in zip(rows, series, strict=True):
            _draw_row(axes, one)
        names = [to_xml(entry.commit.name[:SHORT]) for entry in trend.entries]
        shown = np.unique(np.linspace(0, len(names) - 1, min(MOST_LABELS, len(names))).round().astype(int)).tolist()
        rows[-1].set_xticks(shown, [names[index] for index in shown])
        rows[-1].set_xlim(-0.5, len(names) - 0.5)
        rows[-1].set_xlabel("commit; bars: 95 % interval, dashed: a change of level")
        return to_svg(figure)


def _draw_row(axes: Axes, series: Series) -> None:
    from matplotlib.ticker import MaxNLocator

    values, low, high = np.array([(one.value, one.low, one.high) for one in series.figures]).T
    # The interval of a bootstrap need not hold the estimate, and matplotlib takes no negative length.
    reach = np.maximum([values - low, high - values], 0)
    axes.errorbar(series.positions, values, yerr=reach, fmt="o-", color=LINE, markersize=3, linewidth=1, elinewidth=0.8)
    for change in series.changes:
        axes.axvline(series.positions[change.index] - 0.5, color=CHANGE, linestyle="--", gid=f"change {change.index}")
        axes.annotate(
            f"{change.growth:+.1%}", (series.positions[change.index] - 0.5, 1), (3, -10), color=CHANGE, fontweight="bold",
            xycoords=("data", "axes fraction"), textcoords="offset points",
        )  # fmt: skip
    middle = (low.min() + high.max()) / 2
    half = max((high.max() - low.min()) * 0.6, LEAST_SPAN / 2 * abs(middle)) or 1.0
    axes.set_ylim(middle - half, middle + half)
    axes.yaxis.set_major_locator(MaxNLocator(3))
    axes.set_title(f"{to_xml(series.last.file)}, {series.last.unit}", loc="left", fontsize=9)
    axes.grid(alpha=0.3)
