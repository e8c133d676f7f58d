"""Compute only the shapes of a pruned graph, quickly: what a plan would leave, for costs that do not depend on the weights.

A channel group of n elements has k positions per element along an axis. With m elements kept, the axis is (n - m) * k shorter,
whichever they are. So one product of a matrix and the counts gives the lengths of all axes of all weights.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import Shape
from u3p_edge.pruning.apply import count_channels, rebuild_graph
from u3p_edge.pruning.dependency import ChannelGroup, find_groups
from u3p_edge.pruning.index_maps import Index
from u3p_edge.pruning.live_inputs import find_live_inputs
from u3p_edge.pruning.plan import PruningPlan

Counts = npt.NDArray[np.int64]
Key = TypeVar("Key", bound=Hashable)

REMEMBERED = 4096
"""How many nodes a shape-only graph keeps for the next graph. They share their weights' one zero, so each takes about a
kilobyte."""


@dataclass(frozen=True, eq=False)
class ShapeNode(Node):
    """A shape node: its arrays are read-only views of one zero. It is made from a node that was checked.

    `Node` would copy the views into full arrays.
    """

    def __post_init__(self) -> None:
        """Do nothing: there is nothing to check or to copy."""


@dataclass(frozen=True, eq=False)
class _Lengths(Generic[Key]):
    """Lengths of axes with all elements, [keys], and how much shorter each missing element makes them, [keys, groups]."""

    keys: tuple[Key, ...]
    full: Counts
    each: Counts

    def without(self, missing: Counts) -> dict[Key, int]:
        return dict(zip(self.keys, (self.full - self.each @ missing).tolist(), strict=True))


@dataclass(frozen=True, eq=False)
class ShapeOnlyGraph:
    """The shapes of a graph for any number of kept elements in every group.

    It takes about half a millisecond for a network of 100 nodes. It caches what it has made, which cannot be seen from outside.

    Args:
        graph: the graph before pruning.

    Raises:
        ModelError: as `find_groups` does.
    """

    graph: Graph
    groups: tuple[ChannelGroup, ...] = field(init=False, repr=False)
    _tensors: _Lengths[str] = field(init=False, repr=False)
    _axes: _Lengths[tuple[str, str, int]] = field(init=False, repr=False)
    _reads: Any = field(init=False, repr=False)
    _shape_node: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        groups = find_groups(self.graph)
        made = {
            "groups": groups,
            "_tensors": _tensor_lengths(self.graph, groups),
            "_axes": _axis_lengths(self.graph, groups),
            "_reads": lru_cache(REMEMBERED)(partial(_reads, self.graph)),
            "_shape_node": lru_cache(REMEMBERED)(partial(_shape_node, self.graph)),
        }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    def sized(self, counts: Mapping[str, int]) -> Graph:
        """Return what `apply_plan` gives for a plan that keeps so many elements of each group, with zeros for weights.

        The nodes, their inputs, their attributes, and the shapes and dtypes of their weights are the same, whichever elements
        the plan keeps. The one exception is a crop that cuts channels: its bounds are those for a plan that keeps the first
        elements.

        Args:
            counts: number of elements by group name; groups that are not named are kept whole.

        Returns:
            A graph to inspect, not to run: its arrays are read-only views of a single zero.

        Raises:
            ModelError: the counts do not fit the graph, or leave a node with no channels to read.
        """
        self._check(counts)
        missing = np.array([group.size - counts.get(group.name, group.size) for group in self.groups], np.int64)
        channels, lengths = self._tensors.without(missing), self._axes.without(missing)

        def cut(node: Node, sources: tuple[str, ...]) -> Node:
            attrs = count_channels(node, channels[node.name], lambda bound: self._before(node.inputs[0], bound, counts))
            shapes = tuple(
                tuple(lengths.get((node.name, key, axis), size) for axis, size in enumerate(array.shape))
                for key, array in node.weights.items()
            )
            return self._shape_node(node.name, sources, tuple(attrs.items()), shapes)  # type: ignore[no-any-return]

        return rebuild_graph(self.graph, self._reads(frozenset(name for name, count in channels.items() if not count)), cut)

    def _check(self, counts: Mapping[str, int]) -> None:
        sizes = {group.name: group.size for group in self.groups if not group.frozen}
        for name, count in counts.items():
            if count < 0:
                raise ModelError(f"{count} channels of {name!r} cannot be kept")
            if count > sizes.get(name, -1):
                PruningPlan({name: range(count)}).check(
                    self.groups
                )  # raises the reason why it does not fit, unless it keeps all of a frozen group

    def _before(self, name: str, bound: int, counts: Mapping[str, int]) -> int:
        """Return how many of a tensor's first `bound` channels are left when the first elements of every group are kept."""
        held = (group.tensors[name][: counts.get(group.name, group.size)] for group in self.groups if name in group.tensors)
        return int(sum((positions < bound).sum() for positions in held))


def _tensor_lengths(graph: Graph, groups: Sequence[ChannelGroup]) -> _Lengths[str]:
    full = {name: shape[-1] for name, shape in graph.shapes.items()}
    return _lengths(full, [list(group.tensors.items()) for group in groups])


def _axis_lengths(graph: Graph, groups: Sequence[ChannelGroup]) -> _Lengths[tuple[str, str, int]]:
    runs = [[((m.node, m.weight, m.axis), m.positions) for m in group.members] for group in groups]
    return _lengths({key: graph[key[0]].weights[key[1]].shape[key[2]] for run in runs for key, _ in run}, runs)


def _lengths(full: Mapping[Key, int], groups: Sequence[Sequence[tuple[Key, Index]]]) -> _Lengths[Key]:
    """Build the lengths from those with all elements, and from each group's positions along its axes, [size, n] each."""
    row = {key: index for index, key in enumerate(full)}
    each = np.zeros((len(full), len(groups)), np.int64)
    for column, group in enumerate(groups):
        for key, positions in group:
            each[row[key], column] += positions.shape[1]
    return _Lengths(tuple(full), np.array(list(full.values()), np.int64), each)


def _reads(graph: Graph, gone: frozenset[str]) -> Mapping[str, tuple[str, ...]]:
    return find_live_inputs(graph, {node.name: np.array([node.name not in gone]) for node in graph.nodes})


def _shape_node(
    graph: Graph, name: str, sources: tuple[str, ...], attrs: Sequence[tuple[str, Any]], shapes: Sequence[Shape]
) -> Node:
    node = graph[name]
    weights = {
        key: np.broadcast_to(np.zeros((), array.dtype), shape)
        for (key, array), shape in zip(node.weights.items(), shapes, strict=True)
    }
    return ShapeNode(name, node.op, sources, MappingProxyType({**node.attrs, **dict(attrs)}), MappingProxyType(weights))
