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

from u3p_edge.graph import memory
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph
from u3p_edge.rewriting.tiling.options import (
    Combination,
    Options,
    TilingOption,
    bytes_alive_at,
    combine_options,
    find_regions,
    fix_count,
    list_tiling_options,
)
from u3p_edge.rewriting.tiling.transform import TiledGraph, tile_region

COUNTS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16)
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
    alive = bytes_alive_at(graph, whole)
    regions, refusals = find_regions(graph, alive)
    options: Options
    options = {
        name: tuple(list_tiling_options(graph, region, numbers, bytes_per_element, alive, limit))
        for name, region in regions.items()
    }
    if count is not None:
        options = fix_count(graph, options, count)

    def make_plan(chosen: Mapping[str, TilingOption]) -> TilingPlan:
        used = [option for option in chosen.values() if option.count > 1]
        new, origin = _tile_regions(graph, used)
        peak = memory.plan_memory(new, bytes_per_element=bytes_per_element).peak
        extra, met = cost(new).total_macs / macs - 1 if macs else 0.0, budget_bytes is None or peak <= budget_bytes
        copies = _copies(new) * bytes_per_element
        tiles = {option.end.out: option.count for option in used}
        return TilingPlan(new, origin, tiles, peak, whole.peak, copies, extra, met, refusals)

    inside = {name for region in regions.values() for name in region.nodes}
    combinations = tuple(combine_options(options, max((alive[name] for name in alive if name not in inside), default=0)))
    if budget_bytes is None:
        return _smallest(_affordable(combinations, max_overhead), make_plan, measure_memory)
    within = [chosen for most, chosen in combinations if most <= budget_bytes]
    return _first_met(map(make_plan, within or [combinations[-1][1]]))


def _affordable(combinations: Sequence[Combination], max_overhead: float) -> Sequence[Combination]:
    """Return the combinations that add at most the given share of MACs, or else the first one, which is the cheapest."""
    cheap = [each for each in combinations if sum(option.extra_macs for option in each[1].values()) <= max_overhead]
    return cheap or combinations[:1]


def _smallest(
    combinations: Sequence[Combination],
    make_plan: Callable[[Mapping[str, TilingOption]], TilingPlan],
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


def _tile_regions(graph: Graph, options: Sequence[TilingOption]) -> tuple[Graph, Mapping[str, str]]:
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
