"""The moves of a search for a plan: fewer elements of one channel group, and what they cost in importance for what they save.

    price = importance lost / sum over exceeded costs of min(before - after, before - bound) / bound

so that going below a bound earns nothing. Kernels work in steps of channels, so that one channel less may save nothing: moves
also go down to the multiples of 4, 8, 16 and 32, to half, and to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, consumers
from u3p_edge.prune.dependency import ChannelGroup
from u3p_edge.prune.importance import Importance
from u3p_edge.prune.shape_only_graph import ShapeOnlyGraph

STEPS = (4, 8, 16, 32)
"""Multiples of channels at which kernels may get quicker."""

NOTHING = 1e-9
"""A relief, as a share of the bounds, that is only rounding."""

Counts = tuple[int, ...]
"""Elements that are kept, by the number of the group."""

Costs = tuple[float, ...]


@dataclass(frozen=True, eq=False)
class RankedGroup:
    """A group and its elements, the least important first.

    Args:
        group: of which any element may go.
        elements: [size], ties by number.
        scores: [size], of those.
        lost: [size + 1], importance that goes with the first 0, 1, ... of them.
    """

    group: ChannelGroup
    elements: tuple[int, ...]
    scores: tuple[float, ...]
    lost: tuple[float, ...]

    def kept(self, count: int) -> tuple[int, ...]:
        """The most important elements."""
        return self.elements[self.group.size - count :]

    def loss(self, before: int, after: int) -> float:
        """Importance that goes from one count to a smaller one."""
        return self.lost[self.group.size - after] - self.lost[self.group.size - before]

    def used(self, graph: Graph) -> bool:
        """Whether its channels are in a graph that was made smaller."""
        return any(name in graph for name in self.group.tensors)


def rank_groups(group: ChannelGroup, importance: Importance) -> RankedGroup:
    """A group with its elements in order. Raises ModelError without a number, finite and not below 0, for each of them."""
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
    """What a search goes by.

    Args:
        skeleton: of the graph before pruning.
        ranks: the groups that may lose elements.
        weigh: what costs are taken of a graph.
        bounds: of each of them.
        share: of a group's elements that go in one move.
        smallest: elements that a group keeps unless it goes as a whole.
        meetings: names of nodes that read where maps meet, as the fusion of a decoder does; none of them may go.
    """

    skeleton: ShapeOnlyGraph
    ranks: tuple[RankedGroup, ...]
    weigh: Sequence[Callable[[Graph], float]]
    bounds: Sequence[float]
    share: float
    smallest: int
    meetings: frozenset[str]

    def sized(self, counts: Counts) -> Graph:
        """The graph of some counts. Raises ModelError where a node would be left with nothing to read."""
        return self.skeleton.sized({rank.group.name: count for rank, count in zip(self.ranks, counts, strict=True)})

    def costs(self, counts: Counts) -> Costs:
        """Of the graph of some counts."""
        graph = self.sized(counts)
        return tuple(float(cost(graph)) for cost in self.weigh)

    def met(self, counts: Counts) -> bool:
        """Whether all bounds hold."""
        graph = self.sized(counts)
        return all(cost(graph) <= bound for cost, bound in zip(self.weigh, self.bounds, strict=True))

    def exceeded(self, costs: Costs) -> bool:
        """Whether some bound does not hold."""
        return any(cost > bound for cost, bound in zip(costs, self.bounds, strict=True))

    def unit(self, count: int) -> int:
        """Elements of a group of that many that go, or come back, in one move."""
        return max(1, int(count * self.share))


def merge_readers(graph: Graph) -> frozenset[str]:
    """Nodes of one input that read a node of several. What is left of such a node with one input may go, but not they."""
    several = {node.name for node in graph.nodes if len(node.inputs) > 1}
    return frozenset(reader for name, readers in consumers(graph).items() if name in several for reader in readers) - several


class Move(NamedTuple):
    """A group, by its number, from one count to a smaller one; ordered by price, then so that a search is always the same.

    Its price is (importance over relief, -relief, 0). It is as of a version of the costs.
    """

    price: tuple[float, float, float]
    number: int
    after: int
    before: int
    version: int


def list_moves(task: SearchProblem, counts: Counts, costs: Costs, number: int, version: int) -> Iterator[Move]:
    """Those of one group that may be made."""
    count = counts[number]
    one = count - task.unit(count)
    fewer = {max(n, task.smallest) for n in (one, *(one // step * step for step in STEPS), count // 2)}
    for after in sorted({0, *fewer}):
        move = price_moves(task, counts, costs, number, after, version) if after < count else None
        if move is not None:
            yield move


def price_moves(task: SearchProblem, counts: Counts, costs: Costs, number: int, after: int, version: int) -> Move | None:
    """A move; None where the graph would not hold together, or where the group is without use as it is."""
    try:
        graph = task.sized(apply_move(counts, number, after))
    except ModelError:
        return None
    if not after and not all(name in graph for name in task.meetings):
        return None
    rank, before = task.ranks[number], counts[number]
    loss, gain = _loss(task, counts, number, after, graph), _relief(task, costs, graph)
    if gain > NOTHING:
        return Move((loss / gain, -gain, 0.0), number, after, before, version)
    if not rank.used(graph if after else task.sized(counts)):
        return None
    # Behind all others, and those priced long ago first, so that none is made while another may have come to pay.
    return Move((math.inf, float(version), loss / (before - after)), number, after, before, version)


def apply_move(counts: Counts, number: int, count: int) -> Counts:
    """Counts with another one for one group."""
    return (*counts[:number], count, *counts[number + 1 :])


def _loss(task: SearchProblem, counts: Counts, number: int, after: int, graph: Graph) -> float:
    """Importance that goes; with a whole group also that of the groups which only it read."""
    loss = task.ranks[number].loss(counts[number], after)
    if after:
        return loss
    present = task.sized(counts)
    others = (other for other in zip(task.ranks, counts, strict=True) if other[0] is not task.ranks[number])
    return loss + sum(rank.loss(count, 0) for rank, count in others if rank.used(present) and not rank.used(graph))


def _relief(task: SearchProblem, costs: Costs, graph: Graph) -> float:
    """How far a graph brings exceeded costs down to their bounds, in shares of them."""
    total = 0.0
    for weigh, bound, cost in zip(task.weigh, task.bounds, costs, strict=True):
        if cost > bound:
            total += min(cost - weigh(graph), cost - bound) / bound
    return total
