"""Compute how much memory a graph's activations need: when each tensor is alive, and where it lies in an arena.

A tensor is alive from the node that computes it to the last node that reads it; nodes run in the graph's order. The arena is
planned as TensorFlow Lite does it, greedily by size. The largest tensor comes first. Each one goes into the smallest gap that
holds it among the tensors whose lifetimes overlap with it (Pisarchyk and Lee 2020, arXiv:2001.03288).
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import fused_relu
from u3p_edge.graph.ir import Graph

ALIGNMENT = 64
"""Offsets and sizes are multiples of this many bytes, as in TensorFlow Lite's arena."""


@dataclass(frozen=True)
class ArenaSlot:
    """A tensor in the arena.

    Args:
        name: name of the node that computes it.
        bytes: its size, aligned.
        offset: its distance from the start of the arena.
        first, last: indices of the nodes, in the graph's order, between which it is alive, both included.
    """

    name: str
    bytes: int
    offset: int
    first: int
    last: int


@dataclass(frozen=True)
class MemoryPlan:
    """The plan of an arena.

    Args:
        tensors: the tensors in the graph's order.
        peak: size of the arena in bytes.
        live_peak: the most bytes that are alive at once; no arena can be smaller.
        at_peak: names of the tensors that are alive then.
    """

    tensors: tuple[ArenaSlot, ...]
    peak: int
    live_peak: int
    at_peak: tuple[str, ...]


@dataclass(frozen=True)
class Life:
    """A buffer, its bytes, and the indices of the nodes between which it is alive, both included."""

    name: str
    bytes: int
    first: int
    last: int


def plan_memory(
    graph: Graph, *, bytes_per_element: int = 1, fused: Collection[str] | None = None, alignment: int = ALIGNMENT
) -> MemoryPlan:
    """Plan the arena of a graph's activations; weights are not in it.

    Args:
        graph: a graph of fixed input size.
        bytes_per_element: 1 in an integer graph, 4 in a float one.
        fused: names of nodes whose value is never stored, because the one node that reads it is computed with it; None for
            `fused_nodes(graph)`.
        alignment: what offsets and sizes are multiples of, in bytes.

    Raises:
        ModelError: as `shapes` does, and for a fused node that is not in the graph.
    """
    hidden = fused_nodes(graph) if fused is None else frozenset(fused)
    unknown = sorted(name for name in hidden if name not in graph)
    if unknown:
        raise ModelError(f"the graph has no node {unknown[0]!r} that could be fused")
    return plan_lives(tuple(_lives(graph, hidden, bytes_per_element, alignment)), len(graph.nodes))


def plan_lives(lives: Sequence[Life], count: int) -> MemoryPlan:
    """Plan the arena of buffers, while `count` nodes or operators run."""
    starts = offsets(lives)
    placed = tuple(ArenaSlot(x.name, x.bytes, starts[x.name], x.first, x.last) for x in lives)
    live_peak, at_peak = _most_alive(placed, count)
    return MemoryPlan(placed, max((p.offset + p.bytes for p in placed), default=0), live_peak, at_peak)


def bytes_alive(tensors: Sequence[ArenaSlot], count: int) -> tuple[int, ...]:
    """Return the bytes of all tensors that are alive while each of the graph's `count` nodes is computed, in graph order."""
    change = [0] * (count + 1)
    for tensor in tensors:
        change[tensor.first] += tensor.bytes
        change[tensor.last + 1] -= tensor.bytes
    return tuple(accumulate(change[:-1]))


def fused_nodes(graph: Graph) -> frozenset[str]:
    """Return the nodes that only a ReLU reads where runtimes compute both in one kernel and store only the ReLU."""
    return frozenset(node.name for node in graph.nodes if fused_relu(graph, node))


def _lives(graph: Graph, hidden: Collection[str], size: int, alignment: int) -> Iterator[Life]:
    """Yield every buffer with its bytes and its lifetime; views share the buffer of their source."""
    steps = _steps(graph, hidden)
    owner: dict[str, str] = {}
    last: dict[str, int] = {}
    for node in graph.nodes:
        view = node.kind.view and node.inputs[0] not in hidden
        owner[node.name] = owner[node.inputs[0]] if view else node.name
        for name in (node.name, *node.inputs):
            last[owner[name]] = max(last.get(owner[name], 0), steps[node.name])
    for name in graph.outputs:
        last[owner[name]] = len(graph.nodes) - 1
    for node in graph.nodes:
        if owner[node.name] == node.name and node.name not in hidden:
            count = math.prod(graph.shapes[node.name]) * size
            yield Life(node.name, -(-count // alignment) * alignment, steps[node.name], last[node.name])


def _steps(graph: Graph, hidden: Collection[str]) -> Mapping[str, int]:
    """Return when each node is computed: at its index in the order, or a hidden one together with the last that reads it."""
    readers = graph.consumers
    steps: dict[str, int] = {}
    for index, node in reversed(tuple(enumerate(graph.nodes))):
        later = [steps[name] for name in readers[node.name]] if node.name in hidden else []
        steps[node.name] = max(later, default=index)
    return steps


def offsets(lives: Sequence[Life]) -> Mapping[str, int]:
    """Return the offsets of buffers, chosen greedily by size.

    Each buffer goes into the smallest gap that holds it, or else behind all that are alive at the same time.
    """
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first, last; sorted
    chosen: dict[str, int] = {}
    for life in sorted(lives, key=lambda x: (-x.bytes, x.first)):
        beside = ((start, end) for start, end, first, last in placed if first <= life.last and life.first <= last)
        offset = _gap(beside, life.bytes)
        insort(placed, (offset, offset + life.bytes, life.first, life.last))
        chosen[life.name] = offset
    return chosen


def _gap(beside: Iterable[tuple[int, int]], wanted: int) -> int:
    """Return the start of the smallest gap of at least `wanted` bytes between (offset, end) pairs sorted by offset."""
    best, start, reached = None, 0, 0
    for offset, end in beside:
        room = offset - reached
        if room >= wanted and (best is None or room < best):
            best, start = room, reached
        reached = max(reached, end)
    return reached if best is None else start


def _most_alive(placed: Sequence[ArenaSlot], count: int) -> tuple[int, tuple[str, ...]]:
    """Return the most bytes that are alive at any node, and the names of what is alive there."""
    alive = bytes_alive(placed, count)
    most = max(alive)
    where = alive.index(most)
    return most, tuple(tensor.name for tensor in placed if tensor.first <= where <= tensor.last)
