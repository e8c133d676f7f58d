"""Search greedily for a pruning plan that meets a budget and loses little importance, one move on one channel group at a time.

A move drops the least important elements of a group (`u3p_edge.pruning.moves` computes its price). The search makes the
cheapest move until every bound holds. Some moves save nothing by themselves, because other groups share a step of the kernels
with them. They are made only when no move is left that saves something. At the end, the search gives back what the last moves
dropped in excess.

Prices hardly fall while a network shrinks. So an old price is taken as a lower bound, and computed anew only when its move is
the cheapest (accelerated greedy search, Minoux 1978). This takes about ten evaluations of the costs a move instead of hundreds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from types import MappingProxyType

from u3p_edge.errors import ConfigError
from u3p_edge.graph.ir import Graph
from u3p_edge.pruning.importance.scores import Importance
from u3p_edge.pruning.moves import Counts, SearchProblem, apply_move, list_moves, merge_readers, price_moves, rank_groups
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.pruning.shape_only_graph import ShapeOnlyGraph

SHARE = 1 / 32
"""The share of a group's elements that go in one move: one element while there are fewer than 64, and few moves for a wide
group."""


@dataclass(frozen=True)
class Limit:
    """An upper bound on one cost of a network.

    Args:
        name: what is bounded, with its unit, e.g. "latency, ms".
        cost: computes the cost of a graph from its shapes alone; the weights of the graph that it gets are zeros.
        bound: what the cost must not exceed, above 0.

    Raises:
        ConfigError: the bound is not a number above 0.
    """

    name: str
    cost: Callable[[Graph], float]
    bound: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bound) and self.bound > 0):
            raise ConfigError(f"the bound of {self.name!r} is {self.bound}; it is a number above 0")


@dataclass(frozen=True)
class Fitted:
    """A plan and the costs that it reaches.

    Args:
        plan: the plan; it names every group that could lose elements.
        before, after: costs of the original and of the pruned graph, by the limit's name.
        met: whether every bound holds; if not, the plan is as far down as the search came.
    """

    plan: PruningPlan
    before: Mapping[str, float]
    after: Mapping[str, float]
    met: bool


def search_plan(
    graph: Graph,
    importance: Importance,
    limits: Sequence[Limit],
    *,
    share: float = SHARE,
    smallest: int = 1,
    protect: Container[str] = (),
) -> Fitted:
    """Find a plan within all limits that keeps as much importance as a greedy search can.

    The same arguments always give the same plan. A group is dropped as a whole only where `apply_plan` accepts that, and where
    everything that reads a concatenation or a sum, as the fusion of a decoder does, still has something to read.

    Args:
        graph: the graph before pruning.
        importance: scores of all elements of the groups that may lose some, comparable across groups. Scores of other groups
            are ignored.
        limits: the bounds, all of which are to hold; no two have the same name. A cost must not rise with fewer channels.
        share: share of a group's present elements that go in one move, 0..1; at least one goes.
        smallest: how many elements a group keeps, unless it has fewer or is dropped as a whole.
        protect: names of groups that lose nothing.

    Raises:
        ConfigError: two limits have the same name, or the share or the smallest count is out of range.
        ModelError: a group has no importance scores, or not one for every element; the message names it. What a cost raises
            passes through.
    """
    names = [limit.name for limit in limits]
    if len(set(names)) < len(names):
        raise ConfigError("two limits have the same name")
    if not 0 < share < 1 or smallest < 1:
        raise ConfigError(
            f"moves of a share of {share} down to {smallest} channels; a share is within 0 and 1, channels from 1"
        )
    shape_only = ShapeOnlyGraph(graph)
    free = [group for group in shape_only.groups if not group.frozen and group.name not in protect]
    ranks = tuple(rank_groups(group, importance) for group in free)
    functions, bounds = [limit.cost for limit in limits], [limit.bound for limit in limits]
    problem = SearchProblem(shape_only, ranks, functions, bounds, share, smallest, merge_readers(shape_only.sized({})))
    whole = tuple(group.size for group in free)
    counts, met = _shrink(problem, whole)
    counts = _refill(problem, counts) if met else counts
    plan = PruningPlan({rank.group.name: rank.kept(count) for rank, count in zip(ranks, counts, strict=True)})
    before, after = (MappingProxyType(dict(zip(names, problem.costs(each), strict=True))) for each in (whole, counts))
    return Fitted(plan, before, after, met)


def _shrink(problem: SearchProblem, whole: Counts) -> tuple[Counts, bool]:
    """Return the counts at which all bounds hold, or else the last at which a cost changed; and whether the bounds hold."""
    counts = paid = whole
    costs, version = problem.costs(whole), 0  # a price has a version: it is old once a cost has changed, or a group has gone
    waiting = [move for number in range(len(whole)) for move in list_moves(problem, counts, costs, number, version)]
    heapify(waiting)
    while waiting and problem.exceeded(costs):
        move = heappop(waiting)
        if counts[move.number] != move.before:
            continue
        if move.version < version:
            anew = price_moves(problem, counts, costs, move.number, move.after, version)
            if anew is not None:
                heappush(waiting, anew)
            continue
        counts = apply_move(counts, move.number, move.after)
        now = problem.costs(counts)
        if now != costs or not move.after:
            version += 1
        if now != costs:
            costs, paid = now, counts
        for other in list_moves(problem, counts, costs, move.number, version):
            heappush(waiting, other)
    return paid, not problem.exceeded(costs)


def _refill(problem: SearchProblem, counts: Counts) -> Counts:
    """Give elements back while all bounds hold, the most important first, and return the counts. A lost group stays lost."""
    units = {number: problem.unit(count) for number, count in enumerate(counts) if count}
    waiting = [(-_next(problem, counts, number), number) for number in units]
    heapify(waiting)
    while waiting:
        gain, number = heappop(waiting)
        if gain == 0:  # then it is 0 for all that are left: they are whole, or lack nothing that matters
            break
        more = apply_move(counts, number, min(counts[number] + units[number], problem.ranks[number].group.size))
        if problem.met(more):
            counts = more
        elif units[number] > 1:
            units[number] //= 2
        else:
            continue
        heappush(waiting, (-_next(problem, counts, number), number))
    return counts


def _next(problem: SearchProblem, counts: Counts, number: int) -> float:
    """Return the importance of the element that a group would get back first; 0 if it has all."""
    rank = problem.ranks[number]
    gone = rank.group.size - counts[number]
    return rank.scores[gone - 1] if gone else 0.0
