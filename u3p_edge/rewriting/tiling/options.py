"""List what may be chosen: for each region, the numbers of tiles that it can be computed in, and the combinations of these."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from u3p_edge.errors import ConfigError
from u3p_edge.graph import memory
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.rewriting.rule import Refusal
from u3p_edge.rewriting.tiling.region import Region, find_ends, find_region
from u3p_edge.rewriting.tiling.transform import TilingDemand, estimate_demand, tile_node

REGIONS = 3
"""The region of the output and at most two more: maps further down are small."""


@dataclass(frozen=True)
class TilingOption:
    """One tiling option: a number of tiles for one region.

    With it come the bytes alive at most while the region is computed, and the additional share of MACs. `end` is the region up
    to where the tiles are joined.
    """

    end: Region
    count: int
    alive: int
    extra_macs: float


Options = Mapping[str, tuple[TilingOption, ...]]
"""The tiling options of each region, by its output."""

Combination = tuple[int, Mapping[str, TilingOption]]
"""Bytes alive at most in the whole graph, and the tiling option of each region."""


def find_regions(graph: Graph, alive: Mapping[str, int]) -> tuple[Mapping[str, Region], Mapping[str, str]]:
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


def list_tiling_options(
    graph: Graph, region: Region, counts: Sequence[int], bytes_per_element: int, alive: Mapping[str, int], limit: float
) -> Iterator[TilingOption]:
    """Yield a region's tiling options: whole, and in each number of tiles that it can be computed in, up to each of its ends.

    Args:
        counts: in increasing order.
        alive: bytes alive while each node of the graph is computed without tiling.
        limit: once an option's additional share of MACs is above this, no larger number is tried.
    """
    yield TilingOption(region, 1, max(alive[name] for name in region.nodes), 0.0)
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
                yield TilingOption(end, count, max(beside + need.bytes, joined, behind), need.extra_macs)
                if need.extra_macs > limit:
                    break


def fix_count(graph: Graph, options: Options, count: int) -> Options:
    """Return the tiling options with only that number of tiles for the output.

    Raises:
        ConfigError: the output cannot be computed in so many tiles; the message says why.
    """
    out = graph.outputs[0]
    only = tuple(option for option in options.get(out, ()) if option.count == count)
    if not only and count != 1:
        refusal = tile_node(graph, out, count)
        reason = refusal.reason if isinstance(refusal, Refusal) else ""
        raise ConfigError(f"the model cannot run in {count} tiles: {reason}", mend="Choose fewer, or leave the number out.")
    return {**options, out: only} if only else options


def combine_options(options: Options, outside: int) -> Iterator[Combination]:
    """Yield, for ever lower limits on the bytes alive, the cheapest tiling option of each region that keeps to the limit.

    So the MACs rise from one combination to the next.

    Args:
        options: of every region.
        outside: bytes alive at most while nodes outside all regions are computed.
    """
    limits = {max(option.alive, outside) for each in options.values() for option in each} | {outside}
    last: Mapping[str, TilingOption] | None = None
    for limit in sorted(limits, reverse=True):
        within = {name: [option for option in each if option.alive <= limit] for name, each in options.items()}
        if not all(within.values()):
            return
        chosen = {name: min(each, key=lambda option: (option.extra_macs, option.count)) for name, each in within.items()}
        if chosen != last:
            yield max([outside, *(option.alive for option in chosen.values())]), chosen
        last = chosen


def bytes_alive_at(graph: Graph, plan: memory.MemoryPlan) -> Mapping[str, int]:
    """Return the bytes of all tensors that are alive while each node is computed."""
    return dict(zip((node.name for node in graph.nodes), memory.bytes_alive(plan.tensors, len(graph.nodes)), strict=True))


def _given(graph: Graph, end: Region, bytes_per_element: int, kept: Sequence[str]) -> int:
    """Return the bytes alive when a region's output is given, in the graph without the region.

    The nodes `kept` are alive then too.
    """
    given = Node(end.out, "input", attrs={"shape": end.shapes[end.out]})
    nodes = tuple(given if node.name == end.out else node for node in graph.nodes if node.name not in end.nodes[:-1])
    rest = Graph(nodes, (*graph.inputs, end.out), (*graph.outputs, *kept))
    return bytes_alive_at(rest, memory.plan_memory(rest, bytes_per_element=bytes_per_element))[end.out]


def _bytes(end: Region, names: Sequence[str], bytes_per_element: int) -> int:
    return sum(math.prod(end.shapes[name]) for name in names) * bytes_per_element
