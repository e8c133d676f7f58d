"""The milliseconds of every part of a network before and after pruning, as bars."""

from __future__ import annotations

from collections.abc import Sequence

from u3p_edge.report.bar_plot import BarPair, draw_bars
from u3p_edge.report.pruning_table import TOTAL, PruningRow


def draw_pruning(rows: Sequence[PruningRow]) -> bytes | None:
    """Return the bars of the parts that have a time, the total aside, as SVG; None where no part has one.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    pairs = [
        BarPair(row.part, row.ms_before or 0.0, row.ms_after or 0.0)
        for row in rows
        if row.part != TOTAL and (row.ms_before is not None or row.ms_after is not None)
    ]
    return draw_bars(pairs, ("before", "after")) if pairs else None
