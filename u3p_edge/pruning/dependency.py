"""Channel groups: the slices of weights that must be kept or dropped together.

    x ─ a (conv, 4) ─ norm ─ relu ─┬─ concat ─ c (conv) ─ ...
    x ─ b (conv, 4) ───────────────┘

The group `a` has four elements. Element 1 is slice 1 of a's kernel (axis 3) and bias, slice 1 of norm's gamma, beta, mean and
variance, and slice 1 of c's kernel along axis 2. Element 1 of `b` has slice 4 + 1 there. An addition of two maps joins the
channels of both into one group. `u3p_edge.pruning.index_maps` says how channels pass through each op.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from u3p_edge.graph.ir import Graph
from u3p_edge.pruning.index_maps import Index, Role, Trace, trace_channels


@dataclass(frozen=True, eq=False)
class Member:
    """An axis of a weight along which some slices belong to a group.

    Args:
        node: name of the node that has the weight.
        weight: the key in `Node.weights`.
        axis: number of the axis in that array.
        role: "producer" for weights that make the channel (output axes of kernels, biases, normalisations), "consumer" for
            input axes of kernels that read it.
        positions: [size of the group, n]: the n positions along the axis that belong to each element; read-only.
    """

    node: str
    weight: str
    axis: int
    role: Role
    positions: Index


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that are kept or dropped together, element by element.

    Args:
        name: name of the first node that makes its channels; followed by ":" and the first of its channels where one node's
            channels fall into several groups.
        size: number of elements.
        members: the slices of weights, in the graph's order.
        tensors: for each node by name, which channels of its tensor belong to each element: [size, n], read-only.
        frozen: the reason why no element may be dropped; empty where any may.
    """

    name: str
    size: int
    members: tuple[Member, ...]
    tensors: Mapping[str, Index]
    frozen: str = ""


def find_groups(graph: Graph) -> tuple[ChannelGroup, ...]:
    """Return the channel groups of a graph, frozen ones too, ordered by first appearance.

    The groups hold every channel of every tensor. All elements of a group have the same number of positions in the same
    weights and tensors.

    Raises:
        ModelError: shapes do not fit, or the size of an input is not fixed.
    """
    trace = trace_channels(graph)
    elements, first = _elements(trace)
    along = [elements[run.index] for run in trace.runs]
    carried = {name: elements[index] for name, index in trace.maps.items()}
    reasons = _reasons(trace, elements)
    group_of = _group_of(len(first), [*along, *carried.values()])
    positions = [dict(_positions(group_of, elements_of)) for elements_of in along]
    channels = {name: dict(_positions(group_of, elements_of)) for name, elements_of in carried.items()}
    _, heads, sizes = np.unique(group_of, return_index=True, return_counts=True)
    return tuple(
        ChannelGroup(
            name=name,
            size=int(size),
            members=tuple(
                Member(run.node, run.weight, run.axis, run.role, by_group[number])
                for run, by_group in zip(trace.runs, positions, strict=True)
                if number in by_group
            ),
            tensors=MappingProxyType({node: by_group[number] for node, by_group in channels.items() if number in by_group}),
            frozen=reasons[head],
        )
        for number, (name, head, size) in enumerate(zip(_names(trace, first[heads]), heads, sizes, strict=True))
    )


def _elements(trace: Trace) -> tuple[Index, Index]:
    """Return the element that each channel number belongs to, and the first number of each element, ascending."""
    pairs = np.concatenate([np.zeros((2, 0), np.intp), *map(np.stack, trace.coupled)], axis=1)
    first, elements = np.unique(least_connected(trace.count, pairs), return_inverse=True)
    return elements.reshape(-1), first


def least_connected(count: int, pairs: Index) -> Index:
    """Return for each of `count` numbers the least number that it is connected to, itself included: intp [count].

    Every number is pointed at a lower one that it is paired with, then at the one that this one points at, until nothing
    changes. The length of the ways that are left halves each time (Shiloach and Vishkin 1982).

    Args:
        count: the numbers are 0 to count - 1.
        pairs: pairs of connected numbers, intp [2, n].
    """
    lowest = np.arange(count)
    while True:
        lower = np.array(lowest)
        least = lowest[pairs].min(axis=0)
        for numbers in pairs:
            np.minimum.at(lower, numbers, least)
            np.minimum.at(lower, lowest[numbers], least)
        lower = lower[lower]
        if np.array_equal(lower, lowest):
            return lowest
        lowest = lower


def _reasons(trace: Trace, elements: Index) -> list[str]:
    """Return the first reason why each element is frozen; empty where it is not."""
    reasons = [""] * (int(elements.max()) + 1)
    for index, reason in trace.frozen:
        for element in np.unique(elements[index]):
            reasons[element] = reasons[element] or reason
    return reasons


def _group_of(count: int, maps: Sequence[Index]) -> Index:
    """Return the group of each element: a group has the elements that appear equally often in the same weights and tensors.

    So they are frozen alike.
    """
    seen: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for number, elements in enumerate(maps):
        for element, times in zip(*(a.tolist() for a in np.unique(elements, return_counts=True)), strict=True):
            seen[element].append((number, times))
    numbers: dict[tuple[tuple[int, int], ...], int] = {}
    return np.array([numbers.setdefault(tuple(times), len(numbers)) for times in seen], np.intp)


def _positions(group_of: Index, elements_of: Index) -> Iterator[tuple[int, Index]]:
    """Yield the positions of the elements of each group in a map of elements: [size, n], read-only."""
    order = np.argsort(elements_of, kind="stable")
    elements, starts, counts = np.unique(elements_of[order], return_index=True, return_counts=True)
    for group in np.unique(group_of[elements]):
        members = group_of[elements] == group
        positions = order[starts[members, None] + np.arange(counts[members][0])]
        positions.flags.writeable = False
        yield int(group), positions


def _names(trace: Trace, first: Index) -> list[str]:
    """Return a name for each group, made from its first channel number."""
    starts = np.array([start for start, _ in trace.origins])
    origins = np.searchsorted(starts, first, side="right") - 1
    names = [trace.origins[i][1] for i in origins]
    shared = Counter(names)
    offsets = (first - starts[origins]).tolist()
    return [f"{name}:{offset}" if shared[name] > 1 else name for name, offset in zip(names, offsets, strict=True)]
