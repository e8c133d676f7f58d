"""Score how important each channel is, by four measures. A channel group has one score for every element.

    magnitude       norm of its weights, those that make it and those that read it together, relative to the group's mean
                    (Li et al. 2017, arXiv:1608.08710; over groups Fang et al. 2023, arXiv:2301.12900)
    norm scale      |gamma| of the normalisations on it, also relative to the group's mean (Liu et al. 2017, arXiv:1708.06519)
    taylor          (sum of weight * gradient)^2 of the weights that make it: to first order, the squared change of the loss
                    without it (Molchanov et al. 2019, arXiv:1906.10771, eq. 8)
    reconstruction  |kernel slice|^2 * mean square of the channel, summed over its readers: the energy that their outputs lose
                    without it (after Luo et al. 2017, arXiv:1707.06342)

The first two look at weights alone and compare channels within a group. The others are in units of the loss and of features,
so they are comparable across groups. Gradients and mean squares are arguments: nothing here runs a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.prune.dependency import ChannelGroup, Member, find_groups

Scores = npt.NDArray[np.float64]
Importance = Mapping[str, Scores]
"""Scores of every group that is not frozen, by its name: float64 [size], not negative."""

Gradients = Mapping[tuple[str, str], npt.NDArray[Any]]
"""Gradients of the loss, by node and weight, each in the weight's shape."""


def magnitude(graph: Graph) -> Importance:
    """Return the norm of each element's kernel slices, divided by the mean norm of its group."""

    def score(group: ChannelGroup) -> Scores:
        squares = [np.square(_slices(graph, member)).sum(axis=1) for member in _kernels(group)]
        return _relative(np.sqrt(np.sum([np.zeros(group.size), *squares], axis=0)))

    return _each(graph, score)


def norm_scale(graph: Graph) -> Importance:
    """Return the mean |gamma| of each element, divided by the mean of its group.

    Raises:
        ModelError: no batch normalisation with a gamma acts on a group, as in a folded graph; the message names the group.
    """

    def score(group: ChannelGroup) -> Scores:
        found = [m for m in group.members if m.weight == "gamma"]
        if not found:
            raise ModelError(
                f"no batch normalisation scales the channels of {group.name!r}",
                mend="Use the graph before it is folded, or another measure.",
            )
        return _relative(np.mean([np.abs(_slices(graph, m)).mean(axis=1) for m in found], axis=0))

    return _each(graph, score)


def taylor(graph: Graph, gradients: Sequence[Gradients]) -> Importance:
    """Return the mean over batches of the squared sum of weight * gradient over the weights that make an element.

    Args:
        graph: the graph whose weights the gradients belong to.
        gradients: the gradients of one batch each; a weight that is missing counts as having no gradient.

    Raises:
        ModelError: there is no batch, or a gradient has another shape than its weight; the message names the node.
    """
    if not gradients:
        raise ModelError("there is no gradient to judge channels by", mend="Give those of one batch or more.")

    def of_batch(group: ChannelGroup, batch: Gradients) -> Scores:
        total = np.zeros(group.size)
        for member in group.members:
            if member.role == "producer" and (member.node, member.weight) in batch:
                total += _products(graph, member, batch[member.node, member.weight]).sum(axis=1)
        return np.asarray(total**2)

    return _each(graph, lambda group: np.mean([of_batch(group, batch) for batch in gradients], axis=0))


def reconstruction(graph: Graph, mean_squares: Mapping[str, npt.NDArray[Any]]) -> Importance:
    """Return, for each element, the sum over all kernels that read it of (squares of its slice) * (the channel's mean square).

    This is exact for channels that are not correlated with the others.

    Args:
        graph: any graph.
        mean_squares: mean squares [C] of each node's tensor over images and pixels, by the node's name.

    Raises:
        ModelError: a tensor that is read has no mean squares; the message names it.
    """

    def score(group: ChannelGroup) -> Scores:
        total = np.zeros(group.size)
        for member in (m for m in _kernels(group) if m.role == "consumer"):
            source = graph[member.node].inputs[0]
            if source not in mean_squares:
                raise ModelError(f"the mean squares of {source!r} are missing, which {member.node!r} reads")
            squares = np.square(_slices(graph, member)).reshape(*member.positions.shape, -1).sum(axis=2)
            total += (squares * np.asarray(mean_squares[source], np.float64)[member.positions]).sum(axis=1)
        return total

    return _each(graph, score)


def _each(graph: Graph, score: Callable[[ChannelGroup], Scores]) -> Importance:
    return MappingProxyType({group.name: score(group) for group in find_groups(graph) if not group.frozen})


def _kernels(group: ChannelGroup) -> Iterator[Member]:
    return (member for member in group.members if member.weight == "kernel")


def _relative(scores: Scores) -> Scores:
    return np.asarray(scores / max(float(scores.mean()), np.finfo(np.float64).tiny))


def _slices(graph: Graph, member: Member) -> Scores:
    """Return the slices of a weight for each element: [size, n * rest], the n positions of an element one behind the other."""
    return _taken(graph[member.node].weights[member.weight], member)


def _products(graph: Graph, member: Member, gradient: npt.NDArray[Any]) -> Scores:
    weight = graph[member.node].weights[member.weight]
    if gradient.shape != weight.shape:
        raise ModelError(f"the gradient of {member.weight} of {member.node!r} is {gradient.shape}, the weight {weight.shape}")
    return _taken(weight * gradient.astype(np.float64), member)


def _taken(array: npt.NDArray[Any], member: Member) -> Scores:
    along = np.moveaxis(np.asarray(array, np.float64), member.axis, 0)
    return np.asarray(along[member.positions].reshape(len(member.positions), -1))
