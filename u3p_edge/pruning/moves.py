"""The moves of a search for a pruning plan: each keeps fewer elements of one channel group.

The price of a move is the importance that it loses, divided by the cost reduction that it brings:

    price = importance lost / sum over exceeded costs of min(before - after, before - bound) / bound

With the minimum, going below a bound earns nothing. Kernels work in steps of channels, so one channel less may save nothing.
Therefore moves also go down to the multiples of 4, 8, 16 and 32, to half, and to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.pruning.dependency import ChannelGroup
from u3p_edge.pruning.importance.scores import Importance
from u3p_edge.pruning.shape_only_graph import ShapeOnlyGraph

STEPS = (4, 8, 16, 32)
"""Kernels may get faster at multiples of these numbers of channels."""

NOTHING = 1e-9
"""The largest cost reduction, as a share of the bounds, that is only rounding."""

Counts = tuple[int, ...]
"""How many elements are kept, by the number of the group."""

Costs = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class RankedGroup:
    """A group and its elements, the least important first.

    Args:
        group: the group, of which any element may be dropped.
        elements: [size], the elements by importance, ties by number.
        scores: [size], the importance of those elements.
        lost: [size + 1], the importance that is lost with the first 0, 1, ... of them.
    """

    group: ChannelGroup
    elements: tuple[int, ...]
    scores: tuple[float, ...]
    lost: tuple[float, ...]

    def kept(self, count: int) -> tuple[int, ...]:
        """Return the most important `count` elements."""
        return self.elements[self.group.size - count :]

    def loss(self, before: int, after: int) -> float:
        """Return the importance that is lost between one count and a smaller one."""
        return self.lost[self.group.size - after] - self.lost[self.group.size - before]

    def used(self, graph: Graph) -> bool:
        """Return whether its channels are in a graph that was made smaller."""
        return any(name in graph for name in self.group.tensors)


def rank_groups(group: ChannelGroup, importance: Importance) -> RankedGroup:
    """Return a group with its elements in order of importance.

    Raises ModelError unless every element has a finite importance that is not below 0.
    """
    mend = "Judge the channels of the model that is pruned."
    if group.name not in importance:
        raise ModelError(f"there is no importance for the channels of {group.name!r}", mend=mend)
    scores = np.asarray(importance[group.name], np.float64)
    if scores.shape != (group.size,) or not np.isfinite(scores).all() or (scores < 0).any():
        raise ModelError(f"the importance of {group.name!r} is not {group.size} finite numbers from 0", mend=mend)
    order = np.argsort(scores, kind="stable")
    lost = np.concatenate([[0.0], np.cumsum(scores[order])])
    return RankedGroup(group, tuple(order.tolist()), tuple(scores[order].tolist()), tuple(lost.tolist()))


@dataclass(frozen=True, eq=False)
class SearchProblem:
    """The problem that a search solves.

    Args:
        shape_only: the shape-only graph of the graph before pruning.
        ranks: the ranked groups that may lose elements.
        functions: those that compute the costs of a graph.
        bounds: the bound of each cost.
        share: share of a group's elements that go in one move.
        smallest: how many elements a group keeps unless it is dropped as a whole.
        merged_readers: names of the nodes that read merged maps, as the fusion of a decoder does. None of them may be dropped.
    """

    shape_only: ShapeOnlyGraph
    ranks: tuple[RankedGroup, ...]
    functions: Sequence[Callable[[Graph], float]]
    bounds: Sequence[float]
    share: float
    smallest: int
    merged_readers: frozenset[str]

    def sized(self, counts: Counts) -> Graph:
        """Return the graph for the given counts. Raises ModelError where a node would be left with nothing to read."""
        return self.shape_only.sized({rank.group.name: count for rank, count in zip(self.ranks, counts, strict=True)})

    def costs(self, counts: Counts) -> Costs:
        """Return the costs of the graph for the given counts."""
        graph = self.sized(counts)
        return tuple(float(cost(graph)) for cost in self.functions)

    def met(self, counts: Counts) -> bool:
        """Return whether all bounds hold for the given counts."""
        graph = self.sized(counts)
        return all(cost(graph) <= bound for cost, bound in zip(self.functions, self.bounds, strict=True))

    def exceeded(self, costs: Costs) -> bool:
        """Return whether some cost is above its bound."""
        return any(cost > bound for cost, bound in zip(costs, self.bounds, strict=True))

    def unit(self, count: int) -> int:
        """Return how many elements go, or come back, in one move of a group that has `count` of them."""
        return max(1, int(count * self.share))


def merge_readers(graph: Graph) -> frozenset[str]:
    """Return the merged readers: the nodes with one input that read a node with several.

    A node with several inputs may be removed when one input is left of it, but its merged readers may not.
    """
    several = {node.name for node in graph.nodes if len(node.inputs) > 1}
    return frozenset(reader for name, readers in graph.consumers.items() if name in several for reader in readers) - several


class Move(NamedTuple):
    """The change of a group, by its number, from one count to a smaller one.

    Moves are ordered by price; ties are broken so that a search is always the same. The price is (importance lost / cost
    reduction, -cost reduction, 0). It belongs to one version of the costs.
    """

    price: tuple[float, float, float]
    number: int
    after: int
    before: int
    version: int


def list_moves(problem: SearchProblem, counts: Counts, costs: Costs, number: int, version: int) -> Iterator[Move]:
    """Yield the moves of one group that may be made."""
    count = counts[number]
    one = count - problem.unit(count)
    fewer = {max(n, problem.smallest) for n in (one, *(one // step * step for step in STEPS), count // 2)}
    for after in sorted({0, *fewer}):
        move = price_moves(problem, counts, costs, number, after, version) if after < count else None
        if move is not None:
            yield move


def price_moves(problem: SearchProblem, counts: Counts, costs: Costs, number: int, after: int, version: int) -> Move | None:
    """Return a move with its price; None where the graph would not hold together, or where the group is already unused."""
    try:
        graph = problem.sized(apply_move(counts, number, after))
    except ModelError:
        return None
    if not after and not all(name in graph for name in problem.merged_readers):
        return None
    rank, before = problem.ranks[number], counts[number]
    loss, gain = _loss(problem, counts, number, after, graph), _cost_reduction(problem, costs, graph)
    if gain > NOTHING:
        return Move((loss / gain, -gain, 0.0), number, after, before, version)
    if not rank.used(graph if after else problem.sized(counts)):
        return None
    # Moves that save nothing come behind all others, and among them those that were priced first come first. So none is made
    # while another may by now save something.
    return Move((math.inf, float(version), loss / (before - after)), number, after, before, version)


def apply_move(counts: Counts, number: int, count: int) -> Counts:
    """Return the counts with a new count for one group."""
    return (*counts[:number], count, *counts[number + 1 :])


def _loss(problem: SearchProblem, counts: Counts, number: int, after: int, graph: Graph) -> float:
    """Return the importance that is lost; with a whole group, also that of the groups which only it read."""
    loss = problem.ranks[number].loss(counts[number], after)
    if after:
        return loss
    present = problem.sized(counts)
    others = (other for other in zip(problem.ranks, counts, strict=True) if other[0] is not problem.ranks[number])
    return loss + sum(rank.loss(count, 0) for rank, count in others if rank.used(present) and not rank.used(graph))


def _cost_reduction(problem: SearchProblem, costs: Costs, graph: Graph) -> float:
    """Return the cost reduction: how far a graph brings exceeded costs down to their bounds, in shares of the bounds."""
    total = 0.0
    for function, bound, cost in zip(problem.functions, problem.bounds, costs, strict=True):
        if cost > bound:
            total += min(cost - function(graph), cost - bound) / bound
    return total
