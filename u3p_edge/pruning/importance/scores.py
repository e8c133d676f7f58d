"""What the measures share: what they are given, what they give, and the slices of weights that belong to an element."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.ir import Graph
from u3p_edge.pruning.dependency import ChannelGroup, Member, find_groups

Scores = npt.NDArray[np.float64]
Importance = Mapping[str, Scores]
"""Scores of every group that is not frozen, by its name: float64 [size], not negative."""

Gradients = Mapping[tuple[str, str], npt.NDArray[Any]]
"""Gradients of the loss, by node and weight, each in the weight's shape."""


class Evidence(Protocol):
    """What a measure may ask about a trained network. Only what it asks for is computed."""

    @property
    def graph(self) -> Graph:
        """The graph that is to be pruned."""

    @property
    def seed(self) -> int:
        """The seed of anything drawn at random."""

    def gradients(self, graph: Graph) -> Sequence[Gradients]:
        """Return the gradients of the loss in the weights of a graph of the same function, of one batch each."""

    def mean_squares(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the mean squares [C] of each node's tensor over images and pixels, by the node's name."""


def each_group(graph: Graph, score: Callable[[ChannelGroup], Scores]) -> Importance:
    """Return the scores of every group of a graph that is not frozen."""
    return MappingProxyType({group.name: score(group) for group in find_groups(graph) if not group.frozen})


def kernels(group: ChannelGroup) -> Iterator[Member]:
    """Yield the members of a group that are kernels."""
    return (member for member in group.members if member.weight == "kernel")


def relative(scores: Scores) -> Scores:
    """Return scores divided by their mean."""
    return np.asarray(scores / max(float(scores.mean()), np.finfo(np.float64).tiny))


def slices(graph: Graph, member: Member) -> Scores:
    """Return the slices of a weight for each element: [size, n * rest], the n positions of an element one behind the other."""
    return take(graph[member.node].weights[member.weight], member)


def take(array: npt.NDArray[Any], member: Member) -> Scores:
    """Return the slices of an array of the weight's shape, as `slices` does."""
    along = np.moveaxis(np.asarray(array, np.float64), member.axis, 0)
    return np.asarray(along[member.positions].reshape(len(member.positions), -1))
