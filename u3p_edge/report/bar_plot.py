"""Bars of milliseconds in pairs: what a part of a network took before, and what it takes after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from u3p_edge.config.metadata import PALETTE
from u3p_edge.report.plot_style import WIDTH, plot_context, to_hex, to_svg
from u3p_edge.text import to_xml

ROW, MARGIN = 0.34, 0.9
"""Height of a pair of bars, and of all around them, in inches."""

HEIGHT = 0.38
"""Of a bar, where a pair with its gap is 1."""

MOST = 25
"""Pairs that are drawn; the time of all others is one more pair."""

BEFORE, AFTER = to_hex(PALETTE[5]), to_hex(PALETTE[6])


@dataclass(frozen=True)
class BarPair:
    """The milliseconds of one part of a network, each 0 where the part is not there.

    Args:
        name: of the part.
        before, after: milliseconds.
    """

    name: str
    before: float
    after: float


def draw_bars(pairs: Sequence[BarPair], names: tuple[str, str]) -> bytes:
    """Return the picture as an SVG document in UTF-8, the first pair at the top.

    Args:
        pairs: one or more; where there are more than `MOST`, those that take the least are summed.
        names: what the two colours are called.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    from matplotlib.figure import Figure

    shown = _sum_least(pairs)
    rows = range(len(shown))
    with plot_context():
        figure = Figure((WIDTH, ROW * len(shown) + MARGIN), layout="constrained")
        axes = figure.subplots()
        for values, colour, name, shift, hatch in (
            ([pair.before for pair in shown], BEFORE, names[0], -HEIGHT / 2, ""),
            # Hatched, so that a print in grey and a colour-blind reader tell them apart.
            ([pair.after for pair in shown], AFTER, names[1], HEIGHT / 2, "////"),
        ):
            bars = axes.barh(
                [row + shift for row in rows], values, HEIGHT, color=colour, label=to_xml(name), hatch=hatch, edgecolor="white"
            )
            axes.bar_label(bars, [f"{value:.3g}" for value in values], padding=2, fontsize=7)
        axes.set_yticks(rows, [to_xml(pair.name) for pair in shown])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.margins(x=0.1)
        axes.set_xlabel("ms")
        axes.grid(axis="x", alpha=0.3)
        axes.legend(loc="lower right", frameon=False)
        return to_svg(figure)


def _sum_least(pairs: Sequence[BarPair]) -> list[BarPair]:
    """Return the pairs in their order, those that take the least as one where there are more than `MOST`."""
    kept = sorted(range(len(pairs)), key=lambda index: -max(pairs[index].before, pairs[index].after))[:MOST]
    left = [pair for index, pair in enumerate(pairs) if index not in kept]
    others = BarPair(f"{len(left)} others", sum(pair.before for pair in left), sum(pair.after for pair in left))
    return [pairs[index] for index in sorted(kept)] + ([others] if left else [])
