"""The time of a network's operators by kind, as a table of the report, and as bars of the reference beside the int8 file."""

from __future__ import annotations

from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.report.bar_plot import BarPair, draw_bars
from u3p_edge.report.headline import choose_int8

OPERATORS = (
    "Each operator of a TFLite file alone at 1 thread, its fastest run, summed by kind. Alone it finds its input in the caches,"
    " so the sum is a little less than the time of the network."
)


def operator_table(result: RunResult) -> tuple[list[str], list[list[str]]]:
    """Return header and rows: a row for each file and kind of operator, the slowest first; no rows where nothing was timed."""
    rows = []
    for a in result.artifacts:
        total = sum(one.ms for one in a.operator_times)
        for one in a.operator_times:
            share = f"{100 * one.ms / total:.1f} %" if total else "–"
            rows.append([a.name, one.operator, str(one.count), f"{one.ms:.3f}", share])
    return ["file", "operator", "count", "ms", "share"], rows


def draw_operators(result: RunResult) -> bytes | None:
    """Return the bars of the reference and of the int8 file, kind by kind, as SVG; None where not both were timed.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    before, after = result.get(result.reference), choose_int8(result)
    if before is None or after is None or before == after or not before.operator_times or not after.operator_times:
        return None
    old, new = _by_kind(before), _by_kind(after)
    kinds = sorted({*old, *new}, key=lambda kind: -max(old.get(kind, 0.0), new.get(kind, 0.0)))
    return draw_bars([BarPair(kind, old.get(kind, 0.0), new.get(kind, 0.0)) for kind in kinds], (before.name, after.name))


def _by_kind(a: ArtifactResult) -> dict[str, float]:
    return {one.operator: one.ms for one in a.operator_times}
