"""Which nodes are computed tile by tile, and where the tiles end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.tiled_graphs import Maps, assert_same_bits, headed, level, tile
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.rewriting.tiling.choose import choose_tiling
from u3p_edge.rewriting.tiling.region import Region, find_ends, find_region


def test_what_others_read_and_other_outputs_stay_whole() -> None:
    maps = Maps(16, 4, 1, 0)
    shared = maps.conv("image")
    other = maps.conv(shared)
    side = maps.conv(shared)
    last = maps.conv(maps.joined(shared, side))
    graph = maps.graph(last, side, other)
    tiled = tile(graph, last, 3)
    assert not {shared, side, other} & set(tiled.region)
    assert_same_bits(graph, tiled.graph)


def test_a_convolution_below_is_passed_once_and_another_level_stays_whole() -> None:
    maps = Maps(32, 16, 4, 0)
    deep = maps.conv("small", (1, 1))
    tap, wide = maps.conv(deep, (1, 1)), maps.conv("image")
    other = maps.conv(deep, (1, 1))
    up = [maps.add("upsample", name, size=(4, 4), interpolation="bilinear") for name in (tap, other)]
    out = maps.joined(maps.joined(*up), wide)
    tiled = tile(maps.graph(out), out, 4)
    assert {tap, other, *up, wide} <= set(tiled.region)
    assert deep not in tiled.region


@pytest.mark.parametrize(("width", "joins"), [(16, True), (12, False)])
def test_a_convolution_below_joins_if_its_map_is_larger_than_its_kernel(width: int, joins: bool) -> None:
    """A 1x1 kernel of 2 x 2 weights, and maps of 8 x 4 or 8 x 3 places of two channels: 64 or 48 of the 16 * 4 it takes."""
    maps = Maps(32, width, 4, 0)
    deep = maps.conv("small")
    taps = {maps.conv(deep, (1, 1)), maps.conv(deep, (1, 1))}
    up = [maps.add("upsample", tap, size=(4, 4), interpolation="bilinear") for tap in sorted(taps)]
    out = maps.joined(*up)
    region = find_region(maps.graph(out), out)
    assert isinstance(region, Region)
    assert taps & set(region.nodes) == (taps if joins else set())
    assert set(region.boundary) == ({deep} if joins else taps)


def test_taps_side_by_side_below_join_with_what_joins_them() -> None:
    maps = Maps(32, 16, 4, 0)
    deep = maps.conv("small", (1, 1))
    taps = [maps.conv(deep, (1, 1)) for _ in range(2)]
    row = maps.add("concat", *taps, axis=2)
    tall = maps.add("upsample", row, size=(4, 1), interpolation="bilinear")
    column = maps.add("crop", tall, cropping=((0, 0), (0, 4)))
    wide = maps.add("upsample", column, size=(1, 4), interpolation="bilinear")
    out = maps.conv(wide)
    tiled = tile(maps.graph(out), out, 4)
    assert {*taps, row, tall, column, wide} <= set(tiled.region)
    assert deep not in tiled.region
    assert_same_bits(maps.graph(out), tiled.graph)


@pytest.mark.parametrize(("filters", "joins"), [(4, False), (5, True)])
def test_a_slim_map_stays_whole_in_its_inputs_place(filters: int, joins: bool) -> None:
    """The widest map of the region has 16 channels: four are a quarter, and less than the eight they are computed from."""

    def conv(name: str, source: str, channels: int, out: int) -> Node:
        return Node(name, "conv", (source,), {"padding": "same"}, {"kernel": np.ones((3, 3, channels, out), np.float32)})

    nodes = (
        Node("image", "input", attrs={"shape": (None, 16, 16, 8)}),
        Node("other", "input", attrs={"shape": (None, 16, 16, 1)}),
        conv("slim", "image", 8, filters),
        conv("wide", "other", 1, 16 - filters),
        Node("joined", "concat", ("slim", "wide")),
        conv("out", "joined", 16, 1),
    )
    region = find_region(Graph(nodes, ("image", "other"), ("out",)), "out")
    assert isinstance(region, Region)
    assert set(region.nodes) == {"wide", "joined", "out", *(["slim"] if joins else [])}
    assert region.boundary == (("image", "other") if joins else ("other", "slim"))


def test_tiles_end_at_a_narrow_map_and_save_the_rows_that_its_readers_need() -> None:
    graph = headed()
    whole = find_region(graph, "mask")
    assert isinstance(whole, Region)
    assert [end.out for end in find_ends(graph, whole)] == ["mask", "small"]
    plan = choose_tiling(graph, count=4)
    assert plan.counts == {"small": 4}
    # Of three 3x3 convolutions one after the other two are left in the tiles, and the widest no longer feeds a third.
    assert plan.extra_macs < tile(graph, "mask", 4).extra_macs * 2 / 3
    assert {"logits", "mask"} <= {node.name for node in plan.graph.nodes} - set(plan.origin)
    assert_same_bits(graph, plan.graph)


def test_tiles_end_at_the_output_where_no_map_above_is_narrow_or_another_reads_it() -> None:
    def found(graph: Graph) -> list[str]:
        whole = find_region(graph, graph.outputs[0])
        assert isinstance(whole, Region)
        return [end.out for end in find_ends(graph, whole)]

    assert found(headed(4)) == ["mask"], "a sixth of the widest is not narrow"
    assert found(level()) == ["mask"]
    graph = headed()
    twice = Node("sum", "add", ("logits", "logits_again"))
    again = replace(graph["logits"], name="logits_again")
    assert found(replace(graph, nodes=(*graph.nodes[:-1], again, twice), outputs=("sum",))) == ["sum"]
