"""How much each channel matters, by four measures; a channel group has one number for every element.

    magnitude       norm of its weights, what makes it and what reads it together, beside the group's mean
                    (Li et al. 2017, arXiv:1608.08710; over groups Fang et al. 2023, arXiv:2301.12900)
    norm scale      |gamma| of the normalisations on it, likewise (Liu et al. 2017, arXiv:1708.06519)
    taylor          (sum of weight * gradient)^2 of what makes it: the squared change of the loss without it, to first order
                    (Molchanov et al. 2019, arXiv:1906.10771, eq. 8)
    reconstruction  |kernel slice|^2 * mean square of the channel, summed over its readers: the energy that their outputs lose
                    without it (after Luo et al. 2017, arXiv:1707.06342)

The first two look at weights alone and compare channels within a group; the others are in units of the loss and of features,
which hold across groups. Gradients and mean squares are handed in: nothing here runs a network.
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
"""float64 [size], not negative, of every group that is not frozen, by its name."""

Gradients = Mapping[tuple[str, str], npt.NDArray[Any]]
"""Of the loss, by node and weight, each in the weight's shape."""


def magnitude(graph: Graph) -> Importance:
    """Norm of an element's kernel slices over the mean norm of its group."""

    def score(group: ChannelGroup) -> Scores:
        squares = [np.square(_slices(graph, member)).sum(axis=1) for member in _kernels(group)]
        return _relative(np.sqrt(np.sum([np.zeros(group.size), *squares], axis=0)))

    return _each(graph, score)


def norm_scale(graph: Graph) -> Importance:
    """Mean |gamma| of an element over the mean of its group.

    Raises:
        ModelError: a group that no batch normalisation with a gamma is on, as in a folded graph; names it.
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
    """Mean over batches of the squared sum of weight * gradient over what makes an element.

    Args:
        graph: whose weights the gradients are of.
        gradients: of one batch each; a weight that is missing counts as without gradient.

    Raises:
        ModelError: no batch, or a gradient of another shape than its weight; names the node.
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
    """Sum over what reads an element of its kernel slice's squares times the channel's mean square.

    Exact for channels that are not correlated with the others.

    Args:
        graph: any.
        mean_squares: [C] of a node's tensor over images and places, by the node's name.

    Raises:
        ModelError: a tensor that is read and not among them; names it.
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
    """An element's share of a weight: [size, n * rest], the n positions of each element one behind the other."""
    return _taken(graph[member.node].weights[member.weight], member)


def _products(graph: Graph, member: Member, gradient: npt.NDArray[Any]) -> Scores:
    weight = graph[member.node].weights[member.weight]
    if gradient.shape != weight.shape:
        raise ModelError(f"the gradient of {member.weight} of {member.node!r} is {gradient.shape}, the weight {weight.shape}")
    return _taken(weight * gradient.astype(np.float64), member)


def _taken(array: npt.NDArray[Any], member: Member) -> Scores:
    along = np.moveaxis(np.asarray(array, np.float64), member.axis, 0)
    return np.asarray(along[member.positions].reshape(len(member.positions), -1))
