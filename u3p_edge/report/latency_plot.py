"""How the latencies of every file are distributed: each round, and a box of the quartiles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from u3p_edge.benchmark.result import RunResult
from u3p_edge.report.plot_style import WIDTH, colour_of, plot_context, to_svg
from u3p_edge.text import thread_count, to_xml

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW, MARGIN = 0.42, 1.0
"""Height of a file's row, and of all around the rows of a plot, in inches."""

ROUNDS = 0.35
"""How far from the middle of its row the first and the last round are drawn; a row is 1."""


def draw_latencies(result: RunResult) -> bytes | None:
    """Return the picture as an SVG document in UTF-8, one plot for each number of threads; None for a result without latencies.

    A row holds a file: a dot for each round, the first round at the top, a box from the first to the third quartile with the
    median as a line, and whiskers to the 5th and the 95th percentile. The colour shows the number type, as in pareto.svg. The
    same result gives the same bytes.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    if not result.threads:
        return None
    from matplotlib.figure import Figure

    counts = [len(result.latencies(threads)) for threads in result.threads]
    with plot_context():
        figure = Figure((WIDTH, sum(ROW * count + MARGIN for count in counts)), layout="constrained")
        plots = figure.subplots(len(counts), squeeze=False, height_ratios=counts)[:, 0]
        for axes, threads in zip(plots, result.threads, strict=True):
            _draw_rows(axes, result, threads)
        return to_svg(figure)


def _draw_rows(axes: Axes, result: RunResult, threads: int) -> None:
    """Draw the rows of all files with a latency at that number of threads, the first file at the top."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    timed = [(a, entry.samples_ms) for a in result.artifacts if (entry := a.latency(threads))]
    for row, (a, samples) in enumerate(timed):
        heights = row + np.linspace(-ROUNDS, ROUNDS, len(samples))
        axes.plot(
            samples, heights, "o", color=colour_of(a.format), markersize=2.5, alpha=0.5, markeredgewidth=0, gid=f"rounds {row}"
        )
        axes.boxplot(
            [samples], positions=[row], orientation="horizontal", whis=(5, 95), widths=0.5, showfliers=False,
            manage_ticks=False, medianprops={"color": "black"},
        )  # fmt: skip
    values = [ms for _, samples in timed for ms in samples]
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(MaxNLocator(6) if max(values) < 5 * min(values) else LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(timed)), [to_xml(a.name.removeprefix("model.")) for a, _ in timed])
    axes.set_ylim(len(timed) - 0.5, -0.5)
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel(f"latency at {thread_count(threads)}, ms (log scale); dots: rounds, box: quartiles, whiskers: 5 to 95 %")
