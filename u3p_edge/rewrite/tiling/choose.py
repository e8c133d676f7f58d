"""Decide by the memory plan which nodes to compute in tiles, and in how many.

Regions share no node, and what one region keeps whole is alive beside another whether or not that region is tiled. So the most
that is alive at once while a region is computed depends on that region's number of tiles alone. It is computed separately for
each region and number of tiles. For any limit, the cheapest numbers of tiles that stay below it then follow region by region.
Only those few combinations are built and planned as whole graphs, since an arena may need more than the bytes that are alive.

Tiles need not end at the output of the region. Where the last steps to it are narrow (a 3x3 convolution of nine channels to
one, a sigmoid), these run whole at next to no memory, and the wide map above them needs no row beyond a cut.
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
"""The region of the output and at most two more: maps further down are small."""
HOPELESS = 2
"""Once a number of tiles adds twice the MACs that may be added, larger numbers are not tried."""
OPERATOR = 4_000
"""Bytes that LiteRT and XNNPACK keep for what a node becomes. This is 3 kB for each operator, not counting weights and tables,
and a tiled node is one or two of them (measured: 3.1 kB, by counting allocations of networks that differ in their tiling
alone)."""
ALIKE = 1.02
"""Plans whose needs are within 2 % of each other are compared by their number of tiles."""
NEAR = 1.15
"""A runtime's memory plan is consulted only for tilings within 15 % of the least need that is estimated here."""
SAME = 1.005
"""A runtime's needs within half a percent of each other are the same: many of the bytes are weights, which tiling leaves
alone."""

MeasureMemory = Callable[[Graph, Mapping[str, str]], int]
"""A function from a tiled graph and its origins (see `TiledGraph`) to the bytes that a runtime needs to run it."""


@dataclass(frozen=True)
class TilingPlan:
    """A tiled graph, and what the tiling costs and saves.

    Args:
        graph: the tiled graph, which computes the same function as the original.
        origin: see `TiledGraph`.
        counts: number of tiles by the node whose map they make up (an end, see `region.find_ends`); nodes left whole are not
            named.
        peak: bytes of the planned arena.
        whole_peak: bytes of the planned arena without tiling.
        copies: bytes of kernels that runtimes pack once more for every further tile.
        extra_macs: multiply-accumulates done more than once, as a share of the original graph's.
        met: whether `peak` is within the budget; true where there is none.
        refusals: why a node that was considered was left whole, by its name.
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
    """One tiling option: a number of tiles for one region.

    With it come the bytes alive at most while the region is computed, and the additional share of MACs. `end` is the region up
    to where the tiles are joined.
    """

    end: Region
    count: int
    alive: int
    extra_macs: float


_Options = Mapping[str, tuple[_TilingOption, ...]]
"""The tiling options of each region, by its output."""

_Combination = tuple[int, Mapping[str, _TilingOption]]
"""Bytes alive at most in the whole graph, and the tiling option of each region."""


def choose_tiling(
    graph: Graph,
    *,
    budget_bytes: int | None = None,
    bytes_per_element: int = 1,
    counts: Sequence[int] = COUNTS,
    count: int | None = None,
    max_overhead: float = 0.02,
    measure_memory: MeasureMemory | None = None,
) -> TilingPlan:
    """Tile a graph: within the budget at the fewest MACs, or, without a budget, at the smallest peak for few additional MACs.

    Args:
        graph: for inference, of fixed size.
        budget_bytes: for the arena of activations, None for no budget. If no choice meets it, the smallest peak is given.
        bytes_per_element: of an activation, 1 in an integer graph and 4 in a float one.
        counts: numbers of tiles that may be used; 1 leaves a map whole.
        count: fixes the number of tiles of the output; the other regions are left whole or get as many.
        max_overhead: without a budget, the share of MACs that may be added.
        measure_memory: returns what a runtime needs; with None, the need is the arena, the copies of kernels and `OPERATOR`
            for each node.

    Raises:
        ConfigError: if the output cannot be computed in the fixed number of tiles.
        ModelError: as `shapes` does.
    """
    numbers = sorted({*counts} if count is None else {count})
    limit = HOPELESS * max_overhead if budget_bytes is None and count is None else math.inf
    whole, macs = memory.plan_memory(graph, bytes_per_element=bytes_per_element), cost(graph).total_macs
    alive = _alive(graph, whole)
    regions, refusals = _find_regions(graph, alive)
    options: _Options
    options = {
        name: tuple(_list_options(graph, region, numbers, bytes_per_element, alive, limit)) for name, region in regions.items()
    }
    if count is not None:
        options = _fix_count(graph, options, count)

    def make_plan(chosen: Mapping[str, _TilingOption]) -> TilingPlan:
        used = [option for option in chosen.values() if option.count > 1]
        new, origin = _tile_regions(graph, used)
        peak = memory.plan_memory(new, bytes_per_element=bytes_per_element).peak
        extra, met = cost(new).total_macs / macs - 1 if macs else 0.0, budget_bytes is None or peak <= budget_bytes
        copies = _copies(new) * bytes_per_element
        tiles = {option.end.out: option.count for option in used}
        return TilingPlan(new, origin, tiles, peak, whole.peak, copies, extra, met, refusals)

    inside = {name for region in regions.values() for name in region.nodes}
    combinations = tuple(_combinations(options, max((alive[name] for name in alive if name not in inside), default=0)))
    if budget_bytes is None:
        return _smallest(_affordable(combinations, max_overhead), make_plan, measure_memory)
    within = [chosen for most, chosen in combinations if most <= budget_bytes]
    return _first_met(map(make_plan, within or [combinations[-1][1]]))


def _find_regions(graph: Graph, alive: Mapping[str, int]) -> tuple[Mapping[str, Region], Mapping[str, str]]:
    """Return the regions to consider, by their outputs, and why other nodes have none.

    They are the output's region and, of the regions reached from it through what they keep whole, those that need the most.
    """
    regions: dict[str, Region] = {}
    refusals: dict[str, str] = {}
    waiting = [graph.outputs[0]]
    for name in waiting:
        one = find_region(graph, name)
        if isinstance(one, Refusal):
            refusals[name] = one.reason
            continue
        regions[name] = one
        waiting += [x for x in one.boundary if graph[x].op != "input" and x not in waiting]
    further = [name for name in regions if name != graph.outputs[0]]
    further.sort(key=lambda name: -max(alive[x] for x in regions[name].nodes))
    kept = [name for name in regions if name == graph.outputs[0] or name in further[: REGIONS - 1]]
    return {name: regions[name] for name in kept}, refusals


def _list_options(
    graph: Graph, region: Region, counts: Sequence[int], bytes_per_element: int, alive: Mapping[str, int], limit: float
) -> Iterator[_TilingOption]:
    """Yield a region's tiling options: whole, and in each number of tiles that it can be computed in, up to each of its ends.

    Args:
        counts: in increasing order.
        alive: bytes alive while each node of the graph is computed without tiling.
        limit: once an option's additional share of MACs is above this, no larger number is tried.
    """
    yield _TilingOption(region, 1, max(alive[name] for name in region.nodes), 0.0)
    macs = cost(graph).macs
    for end in find_ends(graph, region):
        given, read = _bytes(end, [end.out], bytes_per_element), _bytes(end, end.boundary, bytes_per_element)
        beside = _given(graph, end, bytes_per_element, end.boundary) - given - read
        # What runs after the tiles: joining them, and the steps after the end.
        joined = _given(graph, end, bytes_per_element, ()) + given
        behind = max((alive[name] for name in region.nodes if name not in end.geometries), default=0)
        for count in counts:
            need = estimate_demand(graph, end, count, macs, bytes_per_element)
            if isinstance(need, TilingDemand):
                yield _TilingOption(end, count, max(beside + need.bytes, joined, behind), need.extra_macs)
                if need.extra_macs > limit:
                    break


def _given(graph: Graph, end: Region, bytes_per_element: int, kept: Sequence[str]) -> int:
    """Return the bytes alive when a region's output is given, in the graph without the region.

    The nodes `kept` are alive then too.
    """
    given = Node(end.out, "input", attrs={"shape": end.shapes[end.out]})
    nodes = tuple(given if node.name == end.out else node for node in graph.nodes if node.name not in end.nodes[:-1])
    rest = Graph(nodes, (*graph.inputs, end.out), (*graph.outputs, *kept))
    return _alive(rest, memory.plan_memory(rest, bytes_per_element=bytes_per_element))[end.out]


def _bytes(end: Region, names: Sequence[str], bytes_per_element: int) -> int:
    return sum(math.prod(end.shapes[name]) for name in names) * bytes_per_element


def _fix_count(graph: Graph, options: _Options, count: int) -> _Options:
    """Return the tiling options with only that number of tiles for the output."""
    out = graph.outputs[0]
    only = tuple(option for option in options.get(out, ()) if option.count == count)
    if not only and count != 1:
        refusal = tile_node(graph, out, count)
        reason = refusal.reason if isinstance(refusal, Refusal) else ""
        raise ConfigError(f"the model cannot run in {count} tiles: {reason}", mend="Choose fewer, or leave the number out.")
    return {**options, out: only} if only else options


def _combinations(options: _Options, outside: int) -> Iterator[_Combination]:
    """Yield, for ever lower limits on the bytes alive, the cheapest tiling option of each region that keeps to the limit.

    So the MACs rise from one combination to the next.
    """
    limits = {max(option.alive, outside) for each in options.values() for option in each} | {outside}
    last: Mapping[str, _TilingOption] | None = None
    for limit in sorted(limits, reverse=True):
        within = {name: [option for option in each if option.alive <= limit] for name, each in options.items()}
        if not all(within.values()):
            return
        chosen = {name: min(each, key=lambda option: (option.extra_macs, option.count)) for name, each in within.items()}
        if chosen != last:
            yield max([outside, *(option.alive for option in chosen.values())]), chosen
        last = chosen


def _affordable(combinations: Sequence[_Combination], max_overhead: float) -> Sequence[_Combination]:
    """Return the combinations that add at most the given share of MACs, or else the first one, which is the cheapest."""
    cheap = [each for each in combinations if sum(option.extra_macs for option in each[1].values()) <= max_overhead]
    return cheap or combinations[:1]


def _smallest(
    combinations: Sequence[_Combination],
    make_plan: Callable[[Mapping[str, _TilingOption]], TilingPlan],
    measure_memory: MeasureMemory | None,
) -> TilingPlan:
    """Return the plan with the fewest tiles among those that need the least, or hardly more.

    What a plan needs is its arena, its copies of kernels and its operators. No plan needs less than its bytes alive, so,
    starting from the least, only a few plans have to be made.
    """
    near = ALIKE if measure_memory is None else NEAR
    plans: list[TilingPlan] = []
    for alive, chosen in reversed(combinations):
        if plans and alive > near * min(map(_needed, plans)):
            break
        plans.append(make_plan(chosen))
    most = near * min(map(_needed, plans))
    plans = [plan for plan in plans if _needed(plan) <= most]
    if measure_memory is None or len(plans) == 1:
        return min(plans, key=_tiles_and_peak)
    needs = [measure_memory(plan.graph, plan.origin) for plan in plans]
    most = SAME * min(needs)
    return min((plan for plan, need in zip(plans, needs, strict=True) if need <= most), key=_tiles_and_peak)


def _tiles_and_peak(plan: TilingPlan) -> tuple[int, int]:
    return sum(plan.counts.values()), plan.peak


def _needed(plan: TilingPlan) -> int:
    return plan.peak + plan.copies + OPERATOR * len(plan.graph.nodes)


def _copies(graph: Graph) -> int:
    """Return the number of elements of kernels that the graph's nodes carry more than once."""
    kernels = [node.weights["kernel"] for node in graph.nodes if "kernel" in node.weights]
    return sum(kernel.size for kernel in kernels) - sum({id(kernel): kernel.size for kernel in kernels}.values())


def _first_met(plans: Iterator[TilingPlan]) -> TilingPlan:
    """Return the first plan within the budget, or, where there is none, the one with the smallest peak."""
    tried: list[TilingPlan] = []
    for plan in plans:
        if plan.met:
            return plan
        tried.append(plan)
    return min(tried, key=lambda plan: (plan.peak, plan.extra_macs))


def _tile_regions(graph: Graph, options: Sequence[_TilingOption]) -> tuple[Graph, Mapping[str, str]]:
    """Return the graph with those regions tiled.

    No region has nodes of another, so each is unchanged in the graph in which the others are already tiled.
    """
    origin: dict[str, str] = {}
    for option in options:
        tiled = tile_region(graph, option.end, option.count)
        if isinstance(tiled, TiledGraph):
            graph = tiled.graph
            origin |= tiled.origin
    return graph, origin


def _alive(graph: Graph, plan: memory.MemoryPlan) -> Mapping[str, int]:
    """Return the bytes of all tensors that are alive while each node is computed."""
    return dict(zip((node.name for node in graph.nodes), memory.bytes_alive(plan.tensors, len(graph.nodes)), strict=True))
