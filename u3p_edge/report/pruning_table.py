"""Where pruning removed channels and milliseconds, by the layers of a network that have a kernel."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from u3p_edge.graph.ir import Graph
from u3p_edge.report import markdown

TOTAL = "total"
HEADER = ("part", "channels before", "channels after", "ms before", "ms after")


@dataclass(frozen=True)
class PruningRow:
    """One part of a network: a layer with a kernel, and the nodes without one that belong to it (see `parts`).

    Args:
        part: name of that layer, or "total".
        channels_before, channels_after: channels of the layer's output; 0 if it is gone. The total is the sum over the parts.
        ms_before, ms_after: milliseconds of all nodes of the part; None if none of them has a time.
    """

    part: str
    channels_before: int
    channels_after: int
    ms_before: float | None
    ms_after: float | None


def parts(graph: Graph) -> Mapping[str, str]:
    """Return the layer with a kernel that each node belongs to.

    A node without a kernel belongs to the only such layer that reads its result, directly or through other nodes without a
    kernel: a pooling or a concatenation belongs to the convolution behind it. If several layers or none read its result, it
    belongs to the layer before it. A node for which there is neither is missing.
    """
    readers: dict[str, frozenset[str]] = {}
    for node in reversed(graph.nodes):
        each = (frozenset((name,)) if "kernel" in graph[name].weights else readers[name] for name in graph.consumers[node.name])
        readers[node.name] = frozenset().union(*each)
    belongs: dict[str, str] = {}
    for node in graph.nodes:
        before = next((belongs[name] for name in node.inputs if name in belongs), None)
        only = next(iter(readers[node.name])) if len(readers[node.name]) == 1 else before
        part = node.name if "kernel" in node.weights else only
        if part is not None:
            belongs[node.name] = part
    return belongs


def pruning_rows(
    before: Graph, after: Graph, before_ms: Mapping[str, float], after_ms: Mapping[str, float]
) -> tuple[PruningRow, ...]:
    """Return one row per part, in the order in which the network runs before pruning, then the total.

    Args:
        before, after: the network before and after pruning; a layer has the same name in both.
        before_ms, after_ms: milliseconds by node; nodes without time may be missing, or all of them.

    Raises:
        ModelError: as `Graph.shapes` does.
    """
    channels = [{part: graph.shapes[part][-1] for part in parts(graph).values()} for graph in (before, after)]
    ms = [_milliseconds(graph, times) for graph, times in ((before, before_ms), (after, after_ms))]
    rows = [
        PruningRow(name, channels[0].get(name, 0), channels[1].get(name, 0), ms[0].get(name), ms[1].get(name))
        for name in dict.fromkeys(node.name for node in (*before.nodes, *after.nodes) if "kernel" in node.weights)
    ]
    return (*rows, _total(rows))


def pruning_table(rows: Sequence[PruningRow]) -> str:
    """Return the rows as a Markdown table."""
    return markdown.table(HEADER, pruning_cells(rows))


def pruning_cells(rows: Sequence[PruningRow]) -> list[list[str]]:
    """Return the cells of the table below `HEADER`, one row each."""
    return [_cells(row) for row in rows]


def as_values(rows: Sequence[PruningRow]) -> list[dict[str, Any]]:
    """Return the rows as plain values for JSON, each with the fields of `PruningRow`."""
    return [dataclasses.asdict(row) for row in rows]


def _milliseconds(graph: Graph, times: Mapping[str, float]) -> dict[str, float]:
    """Return the milliseconds of each part, summed over its nodes."""
    ms: dict[str, float] = {}
    for node, part in parts(graph).items():
        if node in times:
            ms[part] = ms.get(part, 0.0) + times[node]
    return ms


def _total(rows: Sequence[PruningRow]) -> PruningRow:
    return PruningRow(
        TOTAL,
        sum(row.channels_before for row in rows),
        sum(row.channels_after for row in rows),
        _sum(row.ms_before for row in rows),
        _sum(row.ms_after for row in rows),
    )


def _sum(times: Iterable[float | None]) -> float | None:
    known = [ms for ms in times if ms is not None]
    return sum(known) if known else None


def _cells(row: PruningRow) -> list[str]:
    times = ["–" if ms is None else f"{ms:.3f}" for ms in (row.ms_before, row.ms_after)]
    return [row.part, str(row.channels_before), str(row.channels_after), *times]
