"""How much memory a graph's activations need: when each tensor is alive, and where an arena puts it.

A tensor is alive from the node that computes it to the last that reads it, nodes run in the graph's order. The arena is planned
as TensorFlow Lite does it, greedy by size: the largest tensor first, each at the offset of the smallest gap that holds it among
the tensors whose lives overlap its own (Pisarchyk and Lee 2020, arXiv:2001.03288).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from u3p_edge.graph.ir import Graph, Node, consumers, shapes
from u3p_edge.graph.scheme import is_relu

ALIGNMENT = 64
"""Bytes that offsets and sizes are multiples of, as in TensorFlow Lite's arena."""

_VIEWS = ("reshape", "flatten", "identity")
_FUSING = ("add", "subtract", "multiply")


@dataclass(frozen=True)
class Placement:
    """A tensor in the arena.

    Args:
        name: of the node that computes it.
        bytes: its size, aligned.
        offset: from the start of the arena.
        first, last: places of the nodes, in the graph's order, between which it is alive, both included.
    """

    name: str
    bytes: int
    offset: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """An arena.

    Args:
        tensors: in the graph's order.
        peak: bytes of the arena.
        live_peak: the most bytes alive at once, below which no arena can be.
        at_peak: names of the tensors that are alive then.
    """

    tensors: tuple[Placement, ...]
    peak: int
    live_peak: int
    at_peak: tuple[str, ...]


@dataclass(frozen=True)
class _Life:
    name: str
    bytes: int
    first: int
    last: int


def plan(graph: Graph, *, bytes_per_element: int = 1, fused: Collection[str] | None = None, alignment: int = ALIGNMENT) -> Plan:
    """The arena of a graph's activations; weights are not in it.

    Args:
        graph: of fixed size.
        bytes_per_element: 1 in an integer graph, 4 in a float one.
        fused: names of nodes whose value is never stored, because the one node that reads it is computed with it; None for
            `fused_nodes(graph)`.
        alignment: in bytes.

    Raises:
        ModelError: as `shapes` does.
    """
    hidden = fused_nodes(graph) if fused is None else frozenset(fused)
    lives = tuple(_lives(graph, hidden, bytes_per_element, alignment))
    offsets = _offsets(lives)
    placed = tuple(Placement(x.name, x.bytes, offsets[x.name], x.first, x.last) for x in lives)
    live_peak, at_peak = _most_alive(lives, len(graph.nodes))
    return Plan(placed, max((p.offset + p.bytes for p in placed), default=0), live_peak, at_peak)


def fused_nodes(graph: Graph) -> frozenset[str]:
    """Sums and products that only a ReLU reads: runtimes compute both in one kernel and store the ReLU alone."""
    readers = consumers(graph)

    def hidden(node: Node) -> bool:
        after = readers[node.name]
        return node.op in _FUSING and len(after) == 1 and is_relu(graph[after[0]]) and node.name not in graph.outputs

    return frozenset(node.name for node in graph.nodes if hidden(node))


def _lives(graph: Graph, hidden: Collection[str], size: int, alignment: int) -> Iterator[_Life]:
    """Every buffer with its bytes and its life; views share their source's."""
    found, places = shapes(graph), {node.name: i for i, node in enumerate(graph.nodes)}
    owner: dict[str, str] = {}
    for node in graph.nodes:
        owner[node.name] = owner[node.inputs[0]] if node.op in _VIEWS else node.name
    last = dict(places)
    for node in graph.nodes:
        for name in node.inputs:
            last[owner[name]] = max(last[owner[name]], places[node.name])
    for name in graph.outputs:
        last[owner[name]] = len(graph.nodes) - 1
    last = _extended(graph, hidden, owner, places, last)
    for node in graph.nodes:
        if owner[node.name] == node.name and node.name not in hidden:
            count = math.prod(found[node.name]) * size
            yield _Life(node.name, -(-count // alignment) * alignment, places[node.name], last[node.name])


def _extended(
    graph: Graph, hidden: Collection[str], owner: Mapping[str, str], places: Mapping[str, int], last: Mapping[str, int]
) -> dict[str, int]:
    """What a hidden node reads is alive until the node that it is computed with has run."""
    until = dict(last)
    readers = consumers(graph)
    for name in hidden:
        for source in graph[name].inputs:
            until[owner[source]] = max([until[owner[source]], *(places[reader] for reader in readers[name])])
    return until


def _offsets(lives: Sequence[_Life]) -> Mapping[str, int]:
    """Offsets, greedy by size, each in the smallest gap that holds it, else behind all that live at the same time."""
    placed: list[tuple[int, _Life]] = []
    offsets: dict[str, int] = {}
    for life in sorted(lives, key=lambda x: (-x.bytes, x.first)):
        beside = sorted((at, x.bytes) for at, x in placed if x.first <= life.last and life.first <= x.last)
        offset = _gap(beside, life.bytes)
        placed.append((offset, life))
        offsets[life.name] = offset
    return offsets


def _gap(beside: Sequence[tuple[int, int]], wanted: int) -> int:
    """The start of the smallest gap of at least `wanted` bytes between (offset, bytes) pairs sorted by offset."""
    best, start, end = None, 0, 0
    for offset, size in beside:
        room = offset - end
        if room >= wanted and (best is None or room < best):
            best, start = room, end
        end = max(end, offset + size)
    return end if best is None else start


def _most_alive(lives: Sequence[_Life], count: int) -> tuple[int, tuple[str, ...]]:
    """The most bytes alive at any node, and what is alive there."""
    change = [0] * (count + 1)
    for life in lives:
        change[life.first] += life.bytes
        change[life.last + 1] -= life.bytes
    alive, most, where = 0, 0, 0
    for place, difference in enumerate(change):
        alive += difference
        if alive > most:
            most, where = alive, place
    return most, tuple(life.name for life in lives if life.first <= where <= life.last)
