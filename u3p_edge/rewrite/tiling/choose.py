"""Which nodes to compute in strips, and in how many, by the memory plan.

Regions share no node, and what one keeps whole is alive beside another whether or not that one is cut. So the most that is
alive at once while a region is computed hangs on its own number of strips alone: it is found for each region and count by
itself, and for any limit the cheapest counts that stay below it follow region by region. Only those few combinations are made
and planned whole, since an arena may need more than the bytes that are alive.

Strips need not end at the map in question: where the last steps to it are narrow (a 3x3 convolution of nine channels to one,
a sigmoid), these run whole at next to no memory, and the wide map above them needs no row beyond a cut.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from u3p_edge.errors import ConfigError
from u3p_edge.graph import memory
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.rewrite.rule import Refusal
from u3p_edge.rewrite.tiling.region import Region, find_ends, find_region
from u3p_edge.rewrite.tiling.transform import TiledGraph, TilingDemand, estimate_demand, tile_node, tile_region

COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
REGIONS = 3
"""The output's region and at most two more: below them the maps are small."""
HOPELESS = 2
"""Where a number of strips adds twice the MACs that may be added, larger ones are not tried."""
OPERATOR = 4_000
"""Bytes that LiteRT and XNNPACK keep for what a node becomes: 3 kB an operator, weights and tables aside, and a node in strips
is one or two of them (seen: 3.1 kB, by counting allocations of networks that differ in their strips alone)."""
ALIKE = 1.02
"""Needs within 2 % of each other are told apart by their number of strips."""
NEAR = 1.15
"""What a runtime needs by its own plan is asked of strips that are within 15 % of the least by ours."""
SAME = 1.005
"""Its needs within half a percent of each other are the same: many of the bytes are weights, which strips do not change."""

MeasureMemory = Callable[[Graph, Mapping[str, str]], int]
"""From a graph in strips and its origins (see `TiledGraph`) to the bytes that a runtime needs to run it."""


@dataclass(frozen=True)
class TilingPlan:
    """A graph in strips and what they are good for.

    Args:
        graph: the same function as the graph before.
        origin: see `TiledGraph`.
        counts: number of strips by the node whose map they make up (an end, see `region.ends`); nodes left whole are not named.
        peak: bytes of the planned arena.
        whole_peak: bytes of it without strips.
        copies: bytes of kernels that runtimes pack once more for every further strip.
        extra_macs: multiply-accumulates done more than once, as a share of the former graph's.
        met: whether `peak` is within the budget; true where there is none.
        refusals: why a node that came into question was left whole, by its name.
    """

    graph: Graph
    origin: Mapping[str, str]
    counts: Mapping[str, int]
    peak: int
    whole_peak: int
    copies: int
    extra_macs: float
    met: bool
    refusals: Mapping[str, str]


@dataclass(frozen=True)
class _TilingOption:
    """One number of strips for one region: the bytes alive at most while it is computed, and the additional share of MACs.

    `end` is the region up to where the strips are joined.
    """

    end: Region
    count: int
    alive: int
    extra_macs: float


_Combination = tuple[int, Mapping[str, _TilingOption]]
"""Bytes alive at most in the whole graph, and the way of each region."""


def choose_tiling(
    graph: Graph,
    *,
    budget_bytes: int | None = None,
    bytes_per_element: int = 1,
    counts: Sequence[int] = COUNTS,
    count: int | None = None,
    max_overhead: float = 0.02,
    weigh: MeasureMemory | None = None,
) -> TilingPlan:
    """The graph in strips: within the budget at the fewest MACs, or, without one, at the smallest peak for little more MACs.

    Args:
        graph: for inference, of fixed size.
        budget_bytes: for the arena of activations, None for no budget. If no choice meets it, the smallest peak is given.
        bytes_per_element: of an activation, 1 in an integer graph and 4 in a float one.
        counts: numbers of strips that may be used; 1 leaves a map whole.
        count: fixes the number of strips of the output; the other regions are left whole or get as many.
        max_overhead: without a budget, the share of MACs that may be added.
        weigh: says what a runtime needs; None goes by the arena, copies of kernels and `OPERATOR`.

    Raises:
        ConfigError: for a fixed count that the output cannot be computed in.
        ModelError: as `shapes` does.
    """
    options = sorted({*counts} if count is None else {count})
    limit = HOPELESS * max_overhead if budget_bytes is None and count is None else math.inf
    whole, macs = memory.plan_memory(graph, bytes_per_element=bytes_per_element), cost(graph).total_macs
    alive = _alive(graph, whole)
    sites, refusals = _sites(graph, alive)
    ways: Mapping[str, tuple[_TilingOption, ...]]
    ways = {name: tuple(_ways(graph, each, options, bytes_per_element, alive, limit)) for name, each in sites.items()}
    if count is not None:
        ways = _fixed(graph, ways, count)

    def made(chosen: Mapping[str, _TilingOption]) -> TilingPlan:
        used = [way for way in chosen.values() if way.count > 1]
        new, origin = _stripped(graph, used)
        peak = memory.plan_memory(new, bytes_per_element=bytes_per_element).peak
        extra, met = cost(new).total_macs / macs - 1 if macs else 0.0, budget_bytes is None or peak <= budget_bytes
        copies = _copies(new) * bytes_per_element
        return TilingPlan(new, origin, {way.end.out: way.count for way in used}, peak, whole.peak, copies, extra, met, refusals)

    inside = {name for site in sites.values() for name in site.nodes}
    combinations = tuple(_combinations(ways, max((alive[name] for name in alive if name not in inside), default=0)))
    if budget_bytes is None:
        return _smallest(_affordable(combinations, max_overhead), made, weigh)
    within = [chosen for most, chosen in combinations if most <= budget_bytes]
    return _first_met(map(made, within or [combinations[-1][1]]))


def _sites(graph: Graph, alive: Mapping[str, int]) -> tuple[Mapping[str, Region], Mapping[str, str]]:
    """The regions in question by their outputs, and why others are not: the output's, and of those that are reached from it
    through what they keep whole the ones that need the most."""
    found: dict[str, Region] = {}
    refusals: dict[str, str] = {}
    waiting = [graph.outputs[0]]
    for name in waiting:
        one = find_region(graph, name)
        if isinstance(one, Refusal):
            refusals[name] = one.reason
            continue
        found[name] = one
        waiting += [x for x in one.boundary if graph[x].op != "input" and x not in waiting]
    further = [name for name in found if name != graph.outputs[0]]
    further.sort(key=lambda name: -max(alive[x] for x in found[name].nodes))
    kept = [name for name in found if name == graph.outputs[0] or name in further[: REGIONS - 1]]
    return {name: found[name] for name in kept}, refusals


def _ways(
    graph: Graph, site: Region, counts: Sequence[int], bytes_per_element: int, alive: Mapping[str, int], limit: float
) -> Iterator[_TilingOption]:
    """Whole, and in each number of strips that the region can be computed in, up to each of its ends.

    Args:
        counts: rising.
        alive: bytes while each node of the graph is computed, as it is.
        limit: additional share of MACs from which on no larger number is tried.
    """
    yield _TilingOption(site, 1, max(alive[name] for name in site.nodes), 0.0)
    macs = cost(graph).macs
    for end in find_ends(graph, site):
        given, read = _bytes(end, [end.out], bytes_per_element), _bytes(end, end.boundary, bytes_per_element)
        beside = _given(graph, end, bytes_per_element, end.boundary) - given - read
        # What runs after the strips: joining them, and the steps behind the end.
        joined = _given(graph, end, bytes_per_element, ()) + given
        behind = max((alive[name] for name in site.nodes if name not in end.geometries), default=0)
        for count in counts:
            need = estimate_demand(graph, end, count, macs, bytes_per_element)
            if isinstance(need, TilingDemand):
                yield _TilingOption(end, count, max(beside + need.bytes, joined, behind), need.extra_macs)
                if need.extra_macs > limit:
                    break


def _given(graph: Graph, end: Region, bytes_per_element: int, kept: Sequence[str]) -> int:
    """Bytes alive when a region's output is given, in the graph without the region; the nodes `kept` are alive then too."""
    given = Node(end.out, "input", attrs={"shape": end.shapes[end.out]})
    nodes = tuple(given if node.name == end.out else node for node in graph.nodes if node.name not in end.nodes[:-1])
    rest = Graph(nodes, (*graph.inputs, end.out), (*graph.outputs, *kept))
    return _alive(rest, memory.plan_memory(rest, bytes_per_element=bytes_per_element))[end.out]


def _bytes(end: Region, names: Sequence[str], bytes_per_element: int) -> int:
    return sum(math.prod(end.shapes[name]) for name in names) * bytes_per_element


def _fixed(graph: Graph, ways: Mapping[str, tuple[_TilingOption, ...]], count: int) -> Mapping[str, tuple[_TilingOption, ...]]:
    """The ways with only that count for the output."""
    out = graph.outputs[0]
    only = tuple(way for way in ways.get(out, ()) if way.count == count)
    if not only and count != 1:
        refusal = tile_node(graph, out, count)
        reason = refusal.reason if isinstance(refusal, Refusal) else ""
        raise ConfigError(f"the model cannot run in {count} strips: {reason}", mend="Choose fewer, or leave the number out.")
    return {**ways, out: only} if only else ways


def _combinations(ways: Mapping[str, tuple[_TilingOption, ...]], outside: int) -> Iterator[_Combination]:
    """For ever lower limits on the bytes alive the cheapest way of each region that keeps them: at ever more MACs."""
    limits = {max(way.alive, outside) for own in ways.values() for way in own} | {outside}
    last: Mapping[str, _TilingOption] | None = None
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


def _smallest(
    combinations: Sequence[_Combination], made: Callable[[Mapping[str, _TilingOption]], TilingPlan], weigh: MeasureMemory | None
) -> TilingPlan:
    """Of the plans that need the least, arena, copies of kernels and operators, or hardly more, that with the fewest strips.

    No plan needs less than the bytes alive, so from the least on only few need making.
    """
    near = ALIKE if weigh is None else NEAR
    plans: list[TilingPlan] = []
    for alive, chosen in reversed(combinations):
        if plans and alive > near * min(map(_needed, plans)):
            break
        plans.append(made(chosen))
    most = near * min(map(_needed, plans))
    plans = [plan for plan in plans if _needed(plan) <= most]
    if weigh is None or len(plans) == 1:
        return min(plans, key=_strips)
    needs = [weigh(plan.graph, plan.origin) for plan in plans]
    most = SAME * min(needs)
    return min((plan for plan, need in zip(plans, needs, strict=True) if need <= most), key=_strips)


def _strips(plan: TilingPlan) -> tuple[int, int]:
    return sum(plan.counts.values()), plan.peak


def _needed(plan: TilingPlan) -> int:
    return plan.peak + plan.copies + OPERATOR * len(plan.graph.nodes)


def _copies(graph: Graph) -> int:
    """Elements of kernels that the graph's nodes carry more than once."""
    kernels = [node.weights["kernel"] for node in graph.nodes if "kernel" in node.weights]
    return sum(kernel.size for kernel in kernels) - sum({id(kernel): kernel.size for kernel in kernels}.values())


def _first_met(plans: Iterator[TilingPlan]) -> TilingPlan:
    """The first within the budget; where none is, the one with the smallest peak."""
    tried: list[TilingPlan] = []
    for plan in plans:
        if plan.met:
            return plan
        tried.append(plan)
    return min(tried, key=lambda plan: (plan.peak, plan.extra_macs))


def _stripped(graph: Graph, ways: Sequence[_TilingOption]) -> tuple[Graph, Mapping[str, str]]:
    """The graph with those regions in strips; none has nodes of another, so each is the same in what the others gave."""
    origin: dict[str, str] = {}
    for way in ways:
        strips = tile_region(graph, way.end, way.count)
        if isinstance(strips, TiledGraph):
            graph = strips.graph
            origin |= strips.origin
    return graph, origin


def _alive(graph: Graph, plan: memory.MemoryPlan) -> Mapping[str, int]:
    """Bytes of all tensors that are alive while each node is computed."""
    return dict(zip((node.name for node in graph.nodes), memory.bytes_alive(plan.tensors, len(graph.nodes)), strict=True))
