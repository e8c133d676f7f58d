"""Tiles compute the same bits as the whole map, in less memory, and refuse what they cannot do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, event, given, reject, settings
from hypothesis import strategies as st

from tests.support.tiled_graphs import CHANNELS, Maps, assert_same_bits, feeds, graphs, level, steps, tile
from u3p_edge.graph import memory
from u3p_edge.graph.activation import is_relu
from u3p_edge.graph.cost import cost
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.reference import run
from u3p_edge.graph.scheme import Quantization, Quantized, Scheme
from u3p_edge.rewriting.interpolated_sums import fuse_interpolated_sums
from u3p_edge.rewriting.rule import Match, Refusal
from u3p_edge.rewriting.rules.separable import Separable
from u3p_edge.rewriting.rules.winograd import Winograd
from u3p_edge.rewriting.tiling.region import Region, find_region
from u3p_edge.rewriting.tiling.transform import TiledGraph, TilingDemand, carry_scheme, estimate_demand, tile_node

# Bits


@settings(max_examples=120, deadline=None)
@given(graphs(), st.data())
def test_tiles_of_random_graphs_give_the_same_bits(graph: Graph, data: st.DataObject) -> None:
    out = graph.outputs[0]
    count = data.draw(st.integers(2, graph.shapes[out][1] // 2))
    tiled = tile_node(graph, out, count)
    event(type(tiled).__name__)
    if isinstance(tiled, Refusal):
        reject()
    assert_same_bits(graph, tiled.graph)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_tile_and_every_cut_holds_rows_of_its_origin(data: st.DataObject) -> None:
    """The last step of each tile, before it is cut, holds wrong rows only next to a cut: what readers get is exact."""
    graph = data.draw(graphs())
    tiled = tile_node(graph, graph.outputs[0], 2)
    if isinstance(tiled, Refusal):
        reject()
    images = feeds(graph, 1)
    old = run(graph, images, outputs=[node.name for node in graph.nodes])
    # A cut is a crop that the graph does not have: of a map that stays whole, or of what a tile has computed.
    pieces = {name: piece for name, piece in tiled.pieces.items() if tiled.graph[name].op == "crop"}
    cuts = {name: piece for name, piece in pieces.items() if graph[piece.node].op != "crop"}
    new = run(tiled.graph, images, outputs=list(cuts))
    for name, piece in cuts.items():
        first, last = piece.rows
        np.testing.assert_array_equal(new[name], old[piece.node][:, first:last])


@pytest.mark.parametrize("kind", sorted(steps(Maps(8, 4, 1, 0), lambda _: None)))
def test_every_kind_of_step_is_cut(kind: str) -> None:
    """Behind a convolution, in tiles that do not divide the rows: everything at full height joins."""

    @settings(max_examples=4, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        maps = Maps(24, 8, 8, 0)
        first = maps.conv("image")
        graph = maps.graph(maps.conv(steps(maps, data.draw)[kind](first, first)))
        tiled = tile(graph, graph.outputs[0], 5)
        assert first in tiled.region
        assert_same_bits(graph, tiled.graph)

    check()


@pytest.mark.parametrize("scale", [2, 4, 8, 16])
@pytest.mark.parametrize("kind", ["bilinear", "nearest"])
def test_upsampling_at_every_scale_of_the_model(scale: int, kind: str) -> None:
    maps = Maps(48, 16, scale, 0)
    both = maps.joined(maps.grown_both(kind), maps.grown(kind, -1))
    graph = maps.graph(both)
    for count in (2, 7, 24):
        tiled = tile(graph, both, count)
        assert "upsample" in {graph[name].op for name in tiled.region}
        assert_same_bits(graph, tiled.graph)


# A UNet 3+


@pytest.fixture(scope="module")
def unet() -> Graph:
    """Of base width 4 for 64x64 images, folded."""
    from u3p_edge.graph.keras_io import from_keras  # TensorFlow, for this fixture alone
    from u3p_edge.models.config import preset
    from u3p_edge.models.unet3plus import build

    model = build(preset("paper", input_shape=(64, 64, 1), base_width=4, deep_supervision=False))
    return fold_batch_norm(inference_graph(from_keras(model)).graph)


def rewritten(graph: Graph, rule: Separable | Winograd, where: tuple[str, ...] = ("dec1", "dec2")) -> Graph:
    """With the rule wherever it applies, among the nodes whose names begin so."""
    for node in graph.nodes:
        match = rule.match(graph, node.name) if node.name in graph and node.name.startswith(where) else None
        if isinstance(match, Match):
            graph = rule.rewrite(graph, match)
    return graph


FORMS: dict[str, Callable[[Graph], Graph]] = {
    "plain": lambda graph: graph,
    "separable": lambda graph: rewritten(graph, Separable()),
    "fused sums": lambda graph: fuse_interpolated_sums(rewritten(graph, Separable())),
    "winograd": lambda graph: rewritten(rewritten(graph, Separable()), Winograd()),
    "winograd 2d": lambda graph: rewritten(graph, Winograd("both"), ("dec1_fuse",)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_unet_in_every_form_gives_the_same_bits(unet: Graph, form: str) -> None:
    graph = FORMS[form](unet)
    tiled = tile(graph, "mask", 5)
    assert_same_bits(graph, tiled.graph, batch=1)
    wide = [name for name in tiled.region if graph.shapes[name][1:3] == (64, 64)]
    assert len(wide) > 5
    boundary = {name for node in graph.nodes if node.name in tiled.region for name in node.inputs} - set(tiled.region)
    assert max(graph.shapes[name][3] for name in boundary if graph.shapes[name][1] == 64) == 4, "only encoder 1 is whole"
    assert "dec2_fuse_conv" in boundary, "the next decoder is whole, not what it is summed from"


# Structure


def test_what_the_region_computes_exists_nowhere_at_full_height() -> None:
    graph = level()
    tiled = tile(graph, "mask", 4)
    assert set(tiled.region) == {node.name for node in graph.nodes if node.op != "input"}
    assert tiled.rows == ((0, 8), (8, 16), (16, 24), (24, 32))
    sizes = tiled.graph.shapes
    assert [node.name for node in tiled.graph.nodes if sizes[node.name][1] == 32] == ["skip", "mask"]
    assert tiled.graph["mask"].op == "concat"
    assert tiled.graph["mask"].attrs["axis"] == 1
    assert tiled.graph.outputs == ("mask",)


def test_the_tiles_follow_one_another_and_share_their_weights() -> None:
    graph = level()
    tiled = tile(graph, "mask", 4)
    new = [node for node in tiled.graph.nodes if node.name in tiled.origin and node.name != "mask"]
    tiles = [tiled.pieces[node.name].tile for node in new]
    assert tiles == sorted(tiles)
    assert set(tiles) == {0, 1, 2, 3}
    for node in new:
        old = graph[tiled.origin[node.name]]
        assert node.op in (old.op, "crop")
        for key, array in node.weights.items():
            assert array is old.weights[key]
    assert set(tiled.origin) == {n.name for n in tiled.graph.nodes} - {*graph.inputs, "mask"}


def test_branches_are_computed_one_after_the_other_even_where_the_graph_does_not() -> None:
    """With all upsamplings first, as Keras gives them, their maps would be alive together."""
    graph = level()
    order = ("deep", "near", "skip", "deep_up", "near_up", "deep_branch", "near_branch", "skip_branch")
    graph = replace(graph, nodes=(*map(graph.__getitem__, order), *graph.nodes[8:]))
    new = tile(graph, "mask", 4)
    names = [piece.node for name, piece in new.pieces.items() if piece.tile == 2 and new.graph[name].op != "crop"]
    for branch in ("deep", "near"):
        assert names.index(f"{branch}_branch") == names.index(f"{branch}_up") + 1


def test_additional_arithmetic_is_that_of_the_rows_next_to_cuts() -> None:
    """Two 3x3 convolutions of 8 rows in 2 tiles: the first is computed on 5 + 1 rows a tile, of which one is only read,
    and the second on 4 + 1, since a convolution gives as many rows as it reads. 2 * (6 + 5) rows instead of 2 * 8."""
    maps = Maps(8, 4, 1, 0)
    graph = maps.graph(maps.conv(maps.conv("image")))
    assert tile(graph, graph.outputs[0], 2).extra_macs == pytest.approx(2 * (6 + 5) / (2 * 8) - 1)


def test_relus_stay_right_behind_the_sum_that_only_they_read() -> None:
    """A crop between them would leave a ReLU that no kernel fuses."""
    maps = Maps(16, 4, 1, 0)
    out = maps.conv(maps.summed(maps.conv("image"), maps.conv("image")))
    linear = maps.add("relu", maps.conv(out, activation="linear"))
    graph = maps.graph(maps.conv(linear))
    new = tile(graph, graph.outputs[0], 3).graph
    relus = [node for node in new.nodes if is_relu(node)]
    assert len(relus) == 2 * 3
    readers = new.consumers
    for relu in relus:
        assert new[relu.inputs[0]].op in ("add", "conv")
        assert readers[relu.inputs[0]] == (relu.name,)


# Demand


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(2, 7))
def test_the_demand_is_what_the_tiles_take(graph: Graph, count: int) -> None:
    region = find_region(graph, graph.outputs[0])
    assume(isinstance(region, Region))
    assert isinstance(region, Region)
    need, new = estimate_demand(graph, region, count, cost(graph).macs, 4), tile_node(graph, region.out, count)
    assume(isinstance(new, TiledGraph))
    assert isinstance(need, TilingDemand)
    assert isinstance(new, TiledGraph)
    assert need.extra_macs == pytest.approx(new.extra_macs)


@pytest.mark.parametrize("count", [3, 5, 8])
def test_the_demand_is_the_bytes_alive(count: int) -> None:
    """The whole level is the region, so that nothing is alive beside it. A middle tile needs the most, while the inputs are
    kept; sizes are multiples of the arena's alignment, but for the mask's tiles, which may each be filled up to one."""
    graph = level()
    region = find_region(graph, "mask")
    assert isinstance(region, Region)
    need = estimate_demand(graph, region, count, cost(graph).macs, 4)
    assert isinstance(need, TilingDemand)
    alive = memory.plan_memory(tile(graph, "mask", count).graph, bytes_per_element=4).live_peak
    assert alive <= need.bytes + memory.ALIGNMENT * count
    assert need.bytes <= alive + memory.ALIGNMENT * count


# Refusals


def refused(graph: Graph, out: str, count: int) -> str:
    tiled = tile_node(graph, out, count)
    assert isinstance(tiled, Refusal)
    return tiled.reason


def test_refusals_say_why() -> None:
    graph = level()
    assert refused(graph, "nothing", 2) == "the graph has no node 'nothing'"
    assert "17 tiles of two rows" in refused(graph, "mask", 17)
    assert refused(graph, "mask", 1) == "one tile is the whole map"
    assert "would save nothing" in refused(graph, "skip_branch", 2)
    assert "not computed" in refused(graph, "skip", 2)


@pytest.mark.parametrize(
    ("op", "attrs", "reason"),
    [
        ("conv", {"strides": (2, 1), "padding": "same"}, "strided along the rows"),
        ("max_pool", {"pool_size": (3, 3), "strides": (1, 1), "padding": "same"}, "overlap"),
        ("upsample", {"size": (3, 1), "interpolation": "bilinear"}, "not a power of two"),
        ("softmax", {"axis": 1}, "softmax works along the rows"),
        ("concat", {"axis": 1}, "works along the rows"),
        ("batch_norm", {"axis": (1,)}, "works along the rows"),
        ("global_max_pool", {"keepdims": True}, "needs the whole map"),
        ("flatten", {}, "not a map"),
        ("reshape", {"target_shape": (6, 6, 2)}, "merge or split evenly"),
    ],
)
def test_an_op_that_cannot_be_cut_is_refused_and_stops_the_region(op: str, attrs: dict[str, object], reason: str) -> None:
    maps = Maps(9, 4, 1, 0)
    first = maps.conv("image")
    weights: Mapping[str, np.ndarray] = {}
    if op == "conv":
        weights = {"kernel": np.ones((3, 3, CHANNELS, CHANNELS), np.float32)}
    if op == "batch_norm":
        weights = {"mean": np.zeros(9, np.float32), "variance": np.ones(9, np.float32)}
    out = maps.add(op, *[first] * (2 if op == "concat" else 1), weights=dict(weights), **attrs)
    graph = maps.graph(out)
    assert reason in refused(graph, out, 2)
    if graph.shapes[out][1:] == (9, 4, CHANNELS):
        behind = maps.conv(maps.conv(out))
        assert out not in tile(maps.graph(behind), behind, 2).region


def test_a_unet_is_tiled_at_several_levels(unet: Graph) -> None:
    graph = form = FORMS["separable"](unet)
    for name, count in (("mask", 3), ("dec2_fuse_conv", 5)):
        graph = tile(graph, name, count).graph
    assert_same_bits(form, graph, batch=1)


# Carried scales


def test_the_scheme_is_carried_to_tiles_and_cuts() -> None:
    def kernel(seed: int) -> dict[str, np.ndarray]:
        values = np.random.default_rng(seed).integers(-127, 128, (3, 3, 4, 4)).astype(np.int8)
        return {"kernel": values, "bias": np.zeros(4, np.int32)}

    same = {"padding": "same"}
    nodes = (
        Node("image", "input", attrs={"shape": (None, 16, 16, 4)}),
        Node("left", "conv", ("image",), same, kernel(1)),
        Node("right", "conv", ("image",), same, kernel(2)),
        Node("sum", "add", ("left", "right")),
        Node("relu", "activation", ("sum",), {"function": "relu"}),
        Node("out", "conv", ("relu",), same, kernel(3)),
    )
    graph = Graph(nodes, ("image",), ("out",))
    # The sum is one kernel with the ReLU behind it, so it has no scale.
    tensors = {n.name: Quantization(0.1 + 0.1 * i, i) for i, n in enumerate(nodes) if n.name != "sum"}
    kernels = {name: np.full(4, 0.5 + i, np.float32) for i, name in enumerate(("left", "right", "out"))}
    scheme = Quantized(graph, Scheme(tensors, kernels)).scheme
    tiled = tile(graph, "out", 3)
    new = Quantized(tiled.graph, carry_scheme(scheme, tiled.graph, tiled.origin)).scheme
    assert new.tensors["out"] == tensors["out"]
    assert new.tensors["image"] == tensors["image"]
    for name, old in tiled.origin.items():
        assert new.tensors.get(name) == tensors.get(old)
        if tiled.graph[name].op == "conv":
            np.testing.assert_array_equal(new.kernels[name], kernels[old])
    assert {tiled.graph[name].op for name in new.kernels} == {"conv"}
