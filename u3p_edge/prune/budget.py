"""The plan that meets a budget and loses little importance: greedy, one move on one channel group at a time.

A move drops the least important elements of a group (`u3p_edge.prune.moves` prices it). The cheapest is made until every bound
holds. One that saves nothing by itself, because others share a step of the kernels with it, is made only when none is left that
does. At the end what the last moves took too much of is given back.

Prices hardly fall while a network shrinks, so an old price is taken for a lower bound and worked out anew only when it leads
(accelerated greedy search, Minoux 1978): about ten costs a move instead of hundreds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from types import MappingProxyType

from u3p_edge.errors import ConfigError
from u3p_edge.graph.ir import Graph
from u3p_edge.prune.importance import Importance
from u3p_edge.prune.moves import Counts, SearchProblem, apply_move, list_moves, merge_readers, price_moves, rank_groups
from u3p_edge.prune.plan import PruningPlan
from u3p_edge.prune.shape_only_graph import ShapeOnlyGraph

SHARE = 1 / 32
"""Of a group's elements that go in one move: one while there are fewer than 64, and few moves for a wide group."""


@dataclass(frozen=True)
class Limit:
    """What a network may cost.

    Args:
        name: with its unit, e.g. "latency, ms".
        cost: of a graph, by its shapes alone; the weights it is shown are zeros.
        bound: that the cost shall not exceed, above 0.

    Raises:
        ConfigError: a bound that is not a number above 0.
    """

    name: str
    cost: Callable[[Graph], float]
    bound: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bound) and self.bound > 0):
            raise ConfigError(f"the bound of {self.name!r} is {self.bound}; it is a number above 0")


@dataclass(frozen=True)
class Fitted:
    """A plan and what it reaches.

    Args:
        plan: names every group that could lose elements.
        before, after: costs of the whole and of the pruned graph, by the limit's name.
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
    """A plan within all limits that keeps as much importance as a greedy search finds; always the same for the same arguments.

    A group goes as a whole only where `apply` takes that, and where everything that reads a concatenation or a sum, as the
    fusion of a decoder does, goes on reading something.

    Args:
        graph: before pruning.
        importance: of every element of the groups that may lose some, comparable across groups; others are ignored.
        limits: all to be held, each of another name. A cost of fewer channels is not higher.
        share: of a group's present elements that go in one move, 0..1; at least one goes.
        smallest: elements that a group keeps, unless it has fewer or goes as a whole.
        protect: names of groups that lose nothing.

    Raises:
        ConfigError: two limits of one name, a share or a smallest count that cannot be.
        ModelError: a group without importance, or with another number of them; names it. What a cost raises passes through.
    """
    names = [limit.name for limit in limits]
    if len(set(names)) < len(names):
        raise ConfigError("two limits have the same name")
    if not 0 < share < 1 or smallest < 1:
        raise ConfigError(
            f"moves of a share of {share} down to {smallest} channels; a share is within 0 and 1, channels from 1"
        )
    skeleton = ShapeOnlyGraph(graph)
    free = [group for group in skeleton.groups if not group.frozen and group.name not in protect]
    ranks = tuple(rank_groups(group, importance) for group in free)
    weigh, bounds = [limit.cost for limit in limits], [limit.bound for limit in limits]
    task = SearchProblem(skeleton, ranks, weigh, bounds, share, smallest, merge_readers(skeleton.sized({})))
    whole = tuple(group.size for group in free)
    counts, met = _shrunk(task, whole)
    counts = _refilled(task, counts) if met else counts
    plan = PruningPlan({rank.group.name: rank.kept(count) for rank, count in zip(ranks, counts, strict=True)})
    before, after = (MappingProxyType(dict(zip(names, task.costs(each), strict=True))) for each in (whole, counts))
    return Fitted(plan, before, after, met)


def _shrunk(task: SearchProblem, whole: Counts) -> tuple[Counts, bool]:
    """The counts at which all bounds hold, or the last at which a cost changed; and whether they hold."""
    counts = paid = whole
    costs, version = task.costs(whole), 0  # prices are of a version: old when a cost has changed since, or a group has gone
    waiting = [move for number in range(len(whole)) for move in list_moves(task, counts, costs, number, version)]
    heapify(waiting)
    while waiting and task.exceeded(costs):
        move = heappop(waiting)
        if counts[move.number] != move.before:
            continue
        if move.version < version:
            anew = price_moves(task, counts, costs, move.number, move.after, version)
            if anew is not None:
                heappush(waiting, anew)
            continue
        counts = apply_move(counts, move.number, move.after)
        now = task.costs(counts)
        if now != costs or not move.after:
            version += 1
        if now != costs:
            costs, paid = now, counts
        for other in list_moves(task, counts, costs, move.number, version):
            heappush(waiting, other)
    return paid, not task.exceeded(costs)


def _refilled(task: SearchProblem, counts: Counts) -> Counts:
    """The counts with elements given back while all bounds hold, the most important first. A lost group stays lost."""
    units = {number: task.unit(count) for number, count in enumerate(counts) if count}
    waiting = [(-_next(task, counts, number), number) for number in units]
    heapify(waiting)
    while waiting:
        gain, number = heappop(waiting)
        if gain == 0:  # as of all that are left: they are whole, or lack nothing that matters
            break
        more = apply_move(counts, number, min(counts[number] + units[number], task.ranks[number].group.size))
        if task.met(more):
            counts = more
        elif units[number] > 1:
            units[number] //= 2
        else:
            continue
        heappush(waiting, (-_next(task, counts, number), number))
    return counts


def _next(task: SearchProblem, counts: Counts, number: int) -> float:
    """Importance of the element that a group would get back first; 0 if it has all."""
    rank = task.ranks[number]
    gone = rank.group.size - counts[number]
    return rank.scores[gone - 1] if gone else 0.0
