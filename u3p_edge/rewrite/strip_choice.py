"""Which nodes to compute in strips, and in how many, by the memory plan.

Regions share no node, and what one keeps whole is alive beside another whether or not that one is cut. So the most that is
alive at once while a region is computed hangs on its own number of strips alone: it is found for each region and count by
itself, and for any limit the cheapest counts that stay below it follow region by region. Only those few combinations are made
and planned whole, since an arena may need more than the bytes that are alive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate

from u3p_edge.errors import ConfigError
from u3p_edge.graph import memory
from u3p_edge.graph.ir import Graph
from u3p_edge.rewrite.region import Region, region
from u3p_edge.rewrite.rule import Refusal
from u3p_edge.rewrite.strips import Strips, in_strips, strip

COUNTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)
REGIONS = 3
"""The output's region and at most two more: below them the maps are small."""
ALIKE = 1.02
"""Peaks within 2 % of each other are told apart by their number of strips."""


@dataclass(frozen=True)
class Plan:
    """A graph in strips and what they are good for.

    Args:
        graph: the same function as the graph before.
        origin: see `Strips`.
        counts: number of strips by the node that they make up; nodes left whole are not named.
        peak: bytes of the planned arena.
        whole_peak: bytes of it without strips.
        extra_macs: multiply-accumulates done more than once, as a share of the former graph's.
        met: whether `peak` is within the budget; true where there is none.
        refusals: why a node that came into question was left whole, by its name.
    """

    graph: Graph
    origin: Mapping[str, str]
    counts: Mapping[str, int]
    peak: int
    whole_peak: int
    extra_macs: float
    met: bool
    refusals: Mapping[str, str]


@dataclass(frozen=True)
class _Way:
    """One number of strips for one region: the bytes alive at most while it is computed, and the additional share of MACs."""

    count: int
    alive: int
    extra_macs: float


_Combination = tuple[int, Mapping[str, _Way]]
"""Bytes alive at most in the whole graph, and the way of each region."""


def choose(
    graph: Graph,
    *,
    budget_bytes: int | None = None,
    bytes_per_element: int = 1,
    counts: Sequence[int] = COUNTS,
    count: int | None = None,
    max_overhead: float = 0.05,
) -> Plan:
    """The graph in strips: within the budget at the fewest MACs, or, without one, at the smallest peak for little more MACs.

    Args:
        graph: for inference, of fixed size.
        budget_bytes: for the arena of activations, None for no budget. If no choice meets it, the smallest peak is given.
        bytes_per_element: of an activation, 1 in an integer graph and 4 in a float one.
        counts: numbers of strips that may be used; 1 leaves a map whole.
        count: fixes the number of strips of the output; the other regions are left whole or get as many.
        max_overhead: without a budget, the share of MACs that may be added.

    Raises:
        ConfigError: for a fixed count that the output cannot be computed in.
        ModelError: as `shapes` does.
    """
    options = tuple(dict.fromkeys((1, *counts) if count is None else (1, count)))
    sites, refusals = _sites(graph, bytes_per_element)
    ways: Mapping[str, tuple[_Way, ...]]
    ways = {name: tuple(_ways(graph, each, options, bytes_per_element)) for name, each in sites.items()}
    if count is not None:
        ways = _fixed(graph, ways, count)
    whole = _peak(graph, bytes_per_element)

    def made(chosen: Mapping[str, _Way]) -> Plan:
        new, origin = _stripped(graph, {name: way.count for name, way in chosen.items()})
        peak = _peak(new, bytes_per_element)
        used = {name: way.count for name, way in chosen.items() if way.count > 1}
        extra, met = sum(way.extra_macs for way in chosen.values()), budget_bytes is None or peak <= budget_bytes
        return Plan(new, origin, used, peak, whole, extra, met, refusals)

    combinations = tuple(_combinations(ways, _outside(graph, sites, bytes_per_element)))
    if budget_bytes is None:
        return _smallest(_affordable(combinations, max_overhead), made)
    within = [chosen for alive, chosen in combinations if alive <= budget_bytes]
    return _first_met(map(made, within or [combinations[-1][1]]))


def _sites(graph: Graph, bytes_per_element: int) -> tuple[Mapping[str, Region], Mapping[str, str]]:
    """The regions in question by their outputs, and why others are not: the output's, and of those that are reached from it
    through what they keep whole the ones that need the most."""
    found: dict[str, Region] = {}
    refusals: dict[str, str] = {}
    waiting = [graph.outputs[0]]
    for name in waiting:
        one = region(graph, name)
        if isinstance(one, Refusal):
            refusals[name] = one.reason
            continue
        found[name] = one
        waiting += [x for x in one.boundary if graph[x].op != "input" and x not in waiting]
    alive = _alive(graph, bytes_per_element)
    further = [name for name in found if name != graph.outputs[0]]
    further.sort(key=lambda name: -max(alive[x] for x in found[name].nodes))
    kept = [name for name in found if name == graph.outputs[0] or name in further[: REGIONS - 1]]
    return {name: found[name] for name in kept}, refusals


def _ways(graph: Graph, site: Region, counts: Sequence[int], bytes_per_element: int) -> Iterator[_Way]:
    """Whole, and in each number of strips that the region can be computed in."""
    before = {node.name for node in graph.nodes} - {site.out}
    for count in counts:
        strips = in_strips(graph, site, count) if count > 1 else None
        if isinstance(strips, Strips):
            alive = _alive(strips.graph, bytes_per_element)
            yield _Way(count, max(alive[name] for name in alive if name not in before), strips.extra_macs)
        elif count == 1:
            alive = _alive(graph, bytes_per_element)
            yield _Way(1, max(alive[name] for name in site.nodes), 0.0)


def _fixed(graph: Graph, ways: Mapping[str, tuple[_Way, ...]], count: int) -> Mapping[str, tuple[_Way, ...]]:
    """The ways with only that count for the output."""
    out = graph.outputs[0]
    only = tuple(way for way in ways.get(out, ()) if way.count == count)
    if not only and count != 1:
        refusal = strip(graph, out, count)
        reason = refusal.reason if isinstance(refusal, Refusal) else ""
        raise ConfigError(f"the model cannot run in {count} strips: {reason}", mend="Choose fewer, or leave the number out.")
    return {**ways, out: only} if only else ways


def _combinations(ways: Mapping[str, tuple[_Way, ...]], outside: int) -> Iterator[_Combination]:
    """For ever lower limits on the bytes alive the cheapest way of each region that keeps them: at ever more MACs."""
    limits = {max(way.alive, outside) for own in ways.values() for way in own} | {outside}
    last: Mapping[str, _Way] | None = None
    for limit in sorted(limits, reverse=True):
        within = {name: [way for way in own if way.alive <= limit] for name, own in ways.items()}
        if not all(within.values()):
            return
        chosen = {name: min(own, key=lambda way: (way.extra_macs, way.count)) for name, own in within.items()}
        if chosen != last:
            yield max([outside, *(way.alive for way in chosen.values())]), chosen
        last = chosen


def _affordable(combinations: Sequence[_Combination], max_overhead: float) -> Sequence[_Combination]:
    """Those that add no more than the given share of MACs, else the first, which is the cheapest."""
    found = [each for each in combinations if sum(way.extra_macs for way in each[1].values()) <= max_overhead]
    return found or combinations[:1]


def _smallest(combinations: Sequence[_Combination], made: Callable[[Mapping[str, _Way]], Plan]) -> Plan:
    """Of the plans with the smallest peak, or one that is hardly larger, that with the fewest strips.

    No arena is smaller than the bytes alive, so from the least on only few need planning.
    """
    plans: list[Plan] = []
    for alive, chosen in reversed(combinations):
        if plans and alive > ALIKE * min(plan.peak for plan in plans):
            break
        plans.append(made(chosen))
    least = min(plan.peak for plan in plans)
    return min((p for p in plans if p.peak <= ALIKE * least), key=lambda plan: (sum(plan.counts.values()), plan.peak))


def _first_met(plans: Iterator[Plan]) -> Plan:
    """The first within the budget; where none is, the one with the smallest peak."""
    tried: list[Plan] = []
    for plan in plans:
        if plan.met:
            return plan
        tried.append(plan)
    return min(tried, key=lambda plan: (plan.peak, plan.extra_macs))


def _stripped(graph: Graph, counts: Mapping[str, int]) -> tuple[Graph, Mapping[str, str]]:
    origin: dict[str, str] = {}
    for name, count in counts.items():
        strips = strip(graph, name, count) if count > 1 else None
        if isinstance(strips, Strips):
            graph = strips.graph
            origin |= strips.origin
    return graph, origin


def _outside(graph: Graph, sites: Mapping[str, Region], bytes_per_element: int) -> int:
    """Bytes alive at most while no region is computed."""
    inside: Set[str] = {name for site in sites.values() for name in site.nodes}
    return max((size for name, size in _alive(graph, bytes_per_element).items() if name not in inside), default=0)


def _alive(graph: Graph, bytes_per_element: int) -> Mapping[str, int]:
    """Bytes of all tensors that are alive while each node is computed."""
    change = [0] * (len(graph.nodes) + 1)
    for tensor in memory.plan(graph, bytes_per_element=bytes_per_element).tensors:
        change[tensor.first] += tensor.bytes
        change[tensor.last + 1] -= tensor.bytes
    return dict(zip((node.name for node in graph.nodes), accumulate(change), strict=False))


def _peak(graph: Graph, bytes_per_element: int) -> int:
    return memory.plan(graph, bytes_per_element=bytes_per_element).peak
