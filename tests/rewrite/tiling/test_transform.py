"""Strips compute the same bits as the whole map, in less memory, and refuse what they cannot do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, event, given, reject, settings
from hypothesis import strategies as st

from tests.support.tiled_graphs import CHANNELS, Maps, graphs, headed, level, steps
from u3p_edge.errors import ConfigError
from u3p_edge.graph import memory
from u3p_edge.graph.activation import is_relu
from u3p_edge.graph.cost import cost
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.ir import Graph, Node, subgraph
from u3p_edge.graph.reference import run
from u3p_edge.graph.scheme import Quantization, Quantized, Scheme
from u3p_edge.rewrite.interpolated_sums import fuse_interpolated_sums
from u3p_edge.rewrite.rule import Match, Refusal
from u3p_edge.rewrite.rules.concat import SplitConcat
from u3p_edge.rewrite.rules.separable import Separable
from u3p_edge.rewrite.rules.winograd import Winograd
from u3p_edge.rewrite.tiling import choose as strip_choice
from u3p_edge.rewrite.tiling.choose import NEAR, OPERATOR, TilingPlan, choose_tiling
from u3p_edge.rewrite.tiling.region import Region, find_ends, find_region
from u3p_edge.rewrite.tiling.row_ranges import cut_rows
from u3p_edge.rewrite.tiling.transform import TiledGraph, TilingDemand, carry_scheme, estimate_demand, tile_node


def feeds(graph: Graph, batch: int = 2) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(batch, *graph[name].attrs["shape"][1:])).astype(np.float32) for name in graph.inputs}


def stripped(graph: Graph, out: str, count: int) -> TiledGraph:
    found = tile_node(graph, out, count)
    assert isinstance(found, TiledGraph), found
    return found


def assert_same_bits(graph: Graph, new: Graph, batch: int = 2) -> None:
    """No tolerance: each value is computed by the same operations on the same operands, in the same order."""
    images = feeds(graph, batch)
    before, after = run(graph, images), run(new, images)
    assert list(before) == list(after)
    for name in before:
        assert before[name].dtype == np.float32
        np.testing.assert_array_equal(after[name], before[name])


# Bits


@settings(max_examples=120, deadline=None)
@given(graphs(), st.data())
def test_strips_of_random_graphs_give_the_same_bits(graph: Graph, data: st.DataObject) -> None:
    out = graph.outputs[0]
    count = data.draw(st.integers(2, graph.shapes[out][1] // 2))
    found = tile_node(graph, out, count)
    event(type(found).__name__)
    if isinstance(found, Refusal):
        reject()
    assert_same_bits(graph, found.graph)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_every_strip_and_every_cut_holds_rows_of_its_origin(data: st.DataObject) -> None:
    """The last step of each strip, before it is cut, holds wrong rows only next to a cut: what readers get is exact."""
    graph = data.draw(graphs())
    found = tile_node(graph, graph.outputs[0], 2)
    if isinstance(found, Refusal):
        reject()
    images = feeds(graph, 1)
    old = run(graph, images, outputs=[node.name for node in graph.nodes])
    cuts = [node for node in found.graph.nodes if "_rows" in node.name]
    new = run(found.graph, images, outputs=[node.name for node in cuts])
    for node in cuts:
        first, last = map(int, node.name.rsplit("_rows", 1)[1].split("to"))
        np.testing.assert_array_equal(new[node.name], old[found.origin[node.name]][:, first:last])


@pytest.mark.parametrize("kind", sorted(steps(Maps(8, 4, 1, 0), lambda _: None)))
def test_every_kind_of_step_is_cut(kind: str) -> None:
    """Behind a convolution, in strips that do not divide the rows: everything at full height joins."""

    @settings(max_examples=4, deadline=None)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        maps = Maps(24, 8, 8, 0)
        first = maps.conv("image")
        graph = maps.graph(maps.conv(steps(maps, data.draw)[kind](first, first)))
        found = stripped(graph, graph.outputs[0], 5)
        assert first in found.region
        assert_same_bits(graph, found.graph)

    check()


@pytest.mark.parametrize("scale", [2, 4, 8, 16])
@pytest.mark.parametrize("kind", ["bilinear", "nearest"])
def test_upsampling_at_every_scale_of_the_model(scale: int, kind: str) -> None:
    maps = Maps(48, 16, scale, 0)
    both = maps.joined(maps.grown_both(kind), maps.grown(kind, -1))
    graph = maps.graph(both)
    for count in (2, 7, 24):
        found = stripped(graph, both, count)
        assert "upsample" in {graph[name].op for name in found.region}
        assert_same_bits(graph, found.graph)


# A UNet 3+


@pytest.fixture(scope="module")
def unet() -> Graph:
    """Of base width 4 for 64x64 images, folded."""
    from u3p_edge.graph.keras_io import from_keras  # TensorFlow, for this fixture alone
    from u3p_edge.models.config import preset
    from u3p_edge.models.unet3plus import build

    model = build(preset("paper", input_shape=(64, 64, 1), base_width=4, deep_supervision=False))
    return fold_batch_norm(inference_graph(from_keras(model)).graph)


def rewritten(graph: Graph, rule: Separable | Winograd | SplitConcat, where: tuple[str, ...] = ("dec1", "dec2")) -> Graph:
    """With the rule wherever it applies, among the nodes whose names begin so."""
    for node in graph.nodes:
        match = rule.match(graph, node.name) if node.name in graph and node.name.startswith(where) else None
        if isinstance(match, Match):
            graph = rule.rewrite(graph, match)
    return graph


FORMS: dict[str, Callable[[Graph], Graph]] = {
    "plain": lambda graph: graph,
    "separable": lambda graph: rewritten(graph, Separable()),
    "gathered": lambda graph: fuse_interpolated_sums(rewritten(graph, Separable())),
    "winograd": lambda graph: rewritten(rewritten(graph, Separable()), Winograd()),
    "winograd 2d": lambda graph: rewritten(graph, Winograd("both"), ("dec1_fuse",)),
    "sum of parts": lambda graph: rewritten(graph, SplitConcat()),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_unet_in_every_form_gives_the_same_bits(unet: Graph, form: str) -> None:
    graph = FORMS[form](unet)
    found = stripped(graph, "mask", 5)
    assert_same_bits(graph, found.graph, batch=1)
    wide = [name for name in found.region if graph.shapes[name][1:3] == (64, 64)]
    assert len(wide) > 5
    boundary = {name for node in graph.nodes if node.name in found.region for name in node.inputs} - set(found.region)
    assert max(graph.shapes[name][3] for name in boundary if graph.shapes[name][1] == 64) == 4, "only encoder 1 is whole"
    assert "dec2_fuse_conv" in boundary, "the next decoder is whole, not what it is summed from"


# Structure


def test_what_the_region_computes_exists_nowhere_at_full_height() -> None:
    graph = level()
    found = stripped(graph, "mask", 4)
    assert set(found.region) == {node.name for node in graph.nodes if node.op != "input"}
    assert found.rows == ((0, 8), (8, 16), (16, 24), (24, 32))
    sizes = found.graph.shapes
    assert [node.name for node in found.graph.nodes if sizes[node.name][1] == 32] == ["skip", "mask"]
    assert found.graph["mask"].op == "concat"
    assert found.graph["mask"].attrs["axis"] == 1
    assert found.graph.outputs == ("mask",)


def test_the_strips_stand_one_after_the_other_and_share_their_weights() -> None:
    graph = level()
    found = stripped(graph, "mask", 4)
    new = [node for node in found.graph.nodes if node.name in found.origin and node.name != "mask"]
    places = [int(node.name.split("_strip")[1].split("_")[0]) for node in new]
    assert places == sorted(places)
    assert set(places) == {0, 1, 2, 3}
    for node in new:
        old = graph[found.origin[node.name]]
        assert node.op in (old.op, "crop")
        for key, array in node.weights.items():
            assert array is old.weights[key]
    assert set(found.origin) == {n.name for n in found.graph.nodes} - set(graph.inputs)


def test_branches_are_computed_one_after_the_other_even_where_the_graph_does_not() -> None:
    """With all upsamplings first, as Keras gives them, their maps would be alive together."""
    graph = level()
    order = ("deep", "near", "skip", "deep_up", "near_up", "deep_branch", "near_branch", "skip_branch")
    graph = replace(graph, nodes=(*map(graph.__getitem__, order), *graph.nodes[8:]))
    new = stripped(graph, "mask", 4)
    names = [new.origin[node.name] for node in new.graph.nodes if node.name.endswith("_strip2")]
    for branch in ("deep", "near"):
        assert names.index(f"{branch}_branch") == names.index(f"{branch}_up") + 1


@given(st.integers(4, 700), st.data())
def test_cuts_cover_the_rows_nearly_evenly(height: int, data: st.DataObject) -> None:
    """The tallest strip is at most a quarter taller than the mean, or a row, where no strip could be as tall as the mean."""
    count = data.draw(st.integers(2, height // 2))
    rows = cut_rows(height, count)
    assert len(rows) == count
    assert (rows[0][0], rows[-1][1]) == (0, height)
    assert all(a[1] == b[0] for a, b in pairwise(rows))
    sizes = [last - first for first, last in rows]
    assert min(sizes) >= 2
    assert max(sizes) <= max(1.25 * height / count, height / count + 1)


@pytest.mark.parametrize(
    ("height", "count", "sizes"),
    [
        (320, 5, {64}),
        (320, 6, {48, 56}),  # at multiples of 8: of 16 there would be strips of 64, a fifth above the mean
        (320, 12, {24, 28}),
        (128, 12, {10, 12}),  # pairs are worth more: 12 rows are an eighth above the mean
        (30, 7, {4, 5}),
    ],
)
def test_cuts_are_at_the_largest_multiples_that_keep_strips_even(height: int, count: int, sizes: set[int]) -> None:
    assert {last - first for first, last in cut_rows(height, count)} == sizes


def test_additional_arithmetic_is_that_of_the_rows_next_to_cuts() -> None:
    """Two 3x3 convolutions of 8 rows in 2 strips: the first is computed on 5 + 1 rows a strip, of which one is only read,
    and the second on 4 + 1, since a convolution gives as many rows as it reads. 2 * (6 + 5) rows instead of 2 * 8."""
    maps = Maps(8, 4, 1, 0)
    graph = maps.graph(maps.conv(maps.conv("image")))
    assert stripped(graph, graph.outputs[0], 2).extra_macs == pytest.approx(2 * (6 + 5) / (2 * 8) - 1)


def test_what_others_read_and_other_outputs_stay_whole() -> None:
    maps = Maps(16, 4, 1, 0)
    shared = maps.conv("image")
    other = maps.conv(shared)
    side = maps.conv(shared)
    last = maps.conv(maps.joined(shared, side))
    graph = maps.graph(last, side, other)
    found = stripped(graph, last, 3)
    assert not {shared, side, other} & set(found.region)
    assert_same_bits(graph, found.graph)


def test_a_convolution_below_is_passed_once_and_another_level_stays_whole() -> None:
    maps = Maps(32, 16, 4, 0)
    deep = maps.conv("small", (1, 1))
    tap, wide = maps.conv(deep, (1, 1)), maps.conv("image")
    other = maps.conv(deep, (1, 1))
    up = [maps.add("upsample", name, size=(4, 4), interpolation="bilinear") for name in (tap, other)]
    out = maps.joined(maps.joined(*up), wide)
    found = stripped(maps.graph(out), out, 4)
    assert {tap, other, *up, wide} <= set(found.region)
    assert deep not in found.region


@pytest.mark.parametrize(("width", "joins"), [(16, True), (12, False)])
def test_a_convolution_below_joins_if_its_map_is_larger_than_its_kernel(width: int, joins: bool) -> None:
    """A 1x1 kernel of 2 x 2 weights, and maps of 8 x 4 or 8 x 3 places of two channels: 64 or 48 of the 16 * 4 it takes."""
    maps = Maps(32, width, 4, 0)
    deep = maps.conv("small")
    taps = {maps.conv(deep, (1, 1)), maps.conv(deep, (1, 1))}
    up = [maps.add("upsample", tap, size=(4, 4), interpolation="bilinear") for tap in sorted(taps)]
    out = maps.joined(*up)
    found = find_region(maps.graph(out), out)
    assert isinstance(found, Region)
    assert taps & set(found.nodes) == (taps if joins else set())
    assert set(found.boundary) == ({deep} if joins else taps)


def test_taps_side_by_side_below_join_with_what_joins_them() -> None:
    maps = Maps(32, 16, 4, 0)
    deep = maps.conv("small", (1, 1))
    taps = [maps.conv(deep, (1, 1)) for _ in range(2)]
    row = maps.add("concat", *taps, axis=2)
    tall = maps.add("upsample", row, size=(4, 1), interpolation="bilinear")
    column = maps.add("crop", tall, cropping=((0, 0), (0, 4)))
    wide = maps.add("upsample", column, size=(1, 4), interpolation="bilinear")
    out = maps.conv(wide)
    found = stripped(maps.graph(out), out, 4)
    assert {*taps, row, tall, column, wide} <= set(found.region)
    assert deep not in found.region
    assert_same_bits(maps.graph(out), found.graph)


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
    found = find_region(Graph(nodes, ("image", "other"), ("out",)), "out")
    assert isinstance(found, Region)
    assert set(found.nodes) == {"wide", "joined", "out", *(["slim"] if joins else [])}
    assert found.boundary == (("image", "other") if joins else ("other", "slim"))


def test_relus_stay_right_behind_the_sum_that_only_they_read() -> None:
    """A crop between them would leave a ReLU that no kernel fuses."""
    maps = Maps(16, 4, 1, 0)
    out = maps.conv(maps.summed(maps.conv("image"), maps.conv("image")))
    linear = maps.add("relu", maps.conv(out, activation="linear"))
    graph = maps.graph(maps.conv(linear))
    new = stripped(graph, graph.outputs[0], 3).graph
    relus = [node for node in new.nodes if is_relu(node)]
    assert len(relus) == 2 * 3
    readers = new.consumers
    for relu in relus:
        assert new[relu.inputs[0]].op in ("add", "conv")
        assert readers[relu.inputs[0]] == (relu.name,)


# Demand and ends


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(2, 7))
def test_the_demand_is_what_the_strips_take(graph: Graph, count: int) -> None:
    found = find_region(graph, graph.outputs[0])
    assume(isinstance(found, Region))
    assert isinstance(found, Region)
    need, new = estimate_demand(graph, found, count, cost(graph).macs, 4), tile_node(graph, found.out, count)
    assume(isinstance(new, TiledGraph))
    assert isinstance(need, TilingDemand)
    assert isinstance(new, TiledGraph)
    assert need.extra_macs == pytest.approx(new.extra_macs)


@pytest.mark.parametrize("count", [3, 5, 8])
def test_the_demand_is_the_bytes_alive(count: int) -> None:
    """The whole level is the region, so that nothing is alive beside it. A middle strip needs the most, while the inputs are
    kept; sizes are multiples of the arena's alignment, but for the mask's strips, which may each be filled up to one."""
    graph = level()
    found = find_region(graph, "mask")
    assert isinstance(found, Region)
    need = estimate_demand(graph, found, count, cost(graph).macs, 4)
    assert isinstance(need, TilingDemand)
    alive = memory.plan_memory(stripped(graph, "mask", count).graph, bytes_per_element=4).live_peak
    assert alive <= need.bytes + memory.ALIGNMENT * count
    assert need.bytes <= alive + memory.ALIGNMENT * count


def test_strips_end_at_a_narrow_map_and_save_the_rows_that_its_readers_need() -> None:
    graph = headed()
    whole = find_region(graph, "mask")
    assert isinstance(whole, Region)
    assert [end.out for end in find_ends(graph, whole)] == ["mask", "small"]
    plan = choose_tiling(graph, count=4)
    assert plan.counts == {"small": 4}
    # Of three 3x3 convolutions one after the other two are left in the strips, and the widest no longer feeds a third.
    assert plan.extra_macs < stripped(graph, "mask", 4).extra_macs * 2 / 3
    assert {"logits", "mask"} <= {node.name for node in plan.graph.nodes} - set(plan.origin)
    assert_same_bits(graph, plan.graph)


def test_strips_end_at_the_output_where_no_map_above_is_narrow_or_another_reads_it() -> None:
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


# Refusals


def refused(graph: Graph, out: str, count: int) -> str:
    found = tile_node(graph, out, count)
    assert isinstance(found, Refusal)
    return found.reason


def test_refusals_say_why() -> None:
    graph = level()
    assert refused(graph, "nothing", 2) == "the graph has no node 'nothing'"
    assert "17 strips of two rows" in refused(graph, "mask", 17)
    assert refused(graph, "mask", 1) == "one strip is the whole map"
    assert "would save nothing" in refused(graph, "skip_branch", 2)
    assert "not computed" in refused(graph, "skip", 2)


@pytest.mark.parametrize(
    ("op", "attrs", "reason"),
    [
        ("conv", {"strides": (2, 1), "padding": "same"}, "strided along the rows"),
        ("max_pool", {"pool_size": (3, 3), "strides": (1, 1), "padding": "same"}, "overlap"),
        ("upsample", {"size": (3, 1), "interpolation": "bilinear"}, "not a power of two"),
        ("softmax", {"axis": 1}, "softmax runs along the rows"),
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
        assert out not in stripped(maps.graph(behind), behind, 2).region


# Choice


def test_strips_lower_the_peak_and_the_budget_is_met_at_the_fewest_macs() -> None:
    graph = level(256, 256)
    free = choose_tiling(graph, max_overhead=1.0)
    assert free.peak < free.whole_peak * 2 / 3
    for budget in (free.whole_peak, (free.peak + free.whole_peak) // 2, free.peak):
        plan = choose_tiling(graph, budget_bytes=budget)
        assert plan.met
        assert plan.peak <= budget
        for fewer in range(1, plan.counts.get("mask", 1)):
            assert choose_tiling(graph, counts=(fewer,), count=fewer).peak > budget
    assert choose_tiling(graph, budget_bytes=free.whole_peak).counts == {}


def test_a_budget_that_cannot_be_met_gives_the_smallest_peak_and_says_so() -> None:
    plan = choose_tiling(level(), budget_bytes=1)
    assert not plan.met
    assert plan.peak < plan.whole_peak


def test_without_a_budget_the_overhead_is_limited() -> None:
    graph = level(256, 256)
    cheap, dear = choose_tiling(graph, max_overhead=0.05), choose_tiling(graph, max_overhead=1.0)
    assert 0 < cheap.extra_macs <= 0.05 < dear.extra_macs
    assert dear.peak < cheap.peak < cheap.whole_peak
    assert cheap.extra_macs == pytest.approx(cost(cheap.graph).total_macs / cost(graph).total_macs - 1)
    assert choose_tiling(graph, max_overhead=0.0).counts == {}


def test_every_strip_packs_its_kernels_again() -> None:
    plan = choose_tiling(level(), count=4, bytes_per_element=4)
    assert plan.copies == 4 * (4 - 1) * 9 * (3 * 8 * 8 + 24 * 24 + 24 * 1)
    assert choose_tiling(level(), count=1).copies == 0


def needed(plan: TilingPlan) -> int:
    return plan.peak + plan.copies + OPERATOR * len(plan.graph.nodes)


def test_strips_that_need_more_for_operators_than_they_save_are_not_made() -> None:
    whole, four = choose_tiling(level(), max_overhead=1.0), choose_tiling(level(), count=4)
    assert whole.counts == {}
    assert four.peak < whole.peak
    assert needed(four) > needed(whole)


def test_strips_that_need_more_for_kernels_than_they_save_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """With operators for nothing: the kernels grow with the square of the filters, the maps with the filters."""
    monkeypatch.setattr(strip_choice, "OPERATOR", 0)
    assert choose_tiling(level(64, 64), max_overhead=1.0).counts.keys() == {"mask"}
    wide = level(64, 64, filters=64)
    whole, four = choose_tiling(wide, max_overhead=1.0), choose_tiling(wide, count=4)
    assert whole.counts == {}
    assert four.peak < whole.peak < four.peak + four.copies


def test_what_a_runtime_needs_decides_among_strips_that_are_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strip_choice, "OPERATOR", 0)
    graph = level(64, 64)
    by_plan = choose_tiling(graph, max_overhead=1.0)
    count = by_plan.counts["mask"]
    asked: dict[int, int] = {}

    def weigh(made: Graph, origin: Mapping[str, str]) -> int:
        strips = len({name.removeprefix("fused_strip").split("_")[0] for name in origin if name.startswith("fused_strip")}) or 1
        asked[strips] = len(made.nodes)
        return 100 - strips  # the more, the better

    by_runtime = choose_tiling(graph, max_overhead=1.0, weigh=weigh)
    assert by_runtime.counts["mask"] == max(asked) > count
    # Only those are asked for that need little more by the plan.
    plans = (by_runtime, by_plan)
    assert by_runtime.peak + by_runtime.copies <= NEAR * min(plan.peak + plan.copies for plan in plans)
    assert 1 not in asked
    # The same needs: then the fewest.
    assert choose_tiling(graph, max_overhead=1.0, weigh=lambda _made, _origin: 1000).counts["mask"] == min(asked)


def test_the_count_can_be_fixed() -> None:
    graph = level()
    assert choose_tiling(graph, count=3).counts == {"mask": 3}
    assert choose_tiling(graph, count=1).graph == graph
    with pytest.raises(ConfigError, match="17 strips"):
        choose_tiling(graph, count=17)


def two_levels() -> Graph:
    """A half-sized map of 2 channels, computed through 128, read by a full-sized level of 24: 32 and 24 KiB of int8."""
    rng = np.random.default_rng(0)

    def conv(name: str, source: str, channels: int, out: int) -> Node:
        kernel = rng.normal(size=(3, 3, channels, out)).astype(np.float32)
        return Node(name, "conv", (source,), {"padding": "same", "activation": "relu"}, {"kernel": kernel})

    nodes = (
        Node("image", "input", attrs={"shape": (None, 32, 32, 1)}),
        Node("small", "max_pool", ("image",), {"pool_size": (2, 2), "strides": (2, 2)}),
        conv("wide", "small", 1, 128),
        conv("below", "wide", 128, 2),
        Node("up", "upsample", ("below",), {"size": (2, 2), "interpolation": "bilinear"}),
        conv("branch", "up", 2, 24),
        conv("mask", "branch", 24, 1),
    )
    return Graph(nodes, ("image",), ("mask",))


def test_the_level_below_is_cut_where_it_has_the_peak() -> None:
    graph = two_levels()
    plan = choose_tiling(graph, budget_bytes=1)
    assert set(plan.counts) == {"mask", "below"}
    assert_same_bits(graph, plan.graph)
    assert choose_tiling(graph, budget_bytes=30 * 1024).counts.keys() == {"below"}, "the level above needs no strips for that"


def test_a_graph_that_has_nothing_to_strip_is_left_and_the_reason_given() -> None:
    graph = subgraph(level(), ["skip_branch"])
    plan = choose_tiling(graph)
    assert (plan.graph, plan.counts, plan.origin) == (graph, {}, {})
    assert "would save nothing" in plan.refusals["skip_branch"]


def test_a_unet_is_stripped_at_several_levels(unet: Graph) -> None:
    graph = form = FORMS["separable"](unet)
    for name, count in (("mask", 3), ("dec2_fuse_conv", 5)):
        graph = stripped(graph, name, count).graph
    assert_same_bits(form, graph, batch=1)


# Carried scales


def test_the_scheme_is_carried_to_strips_and_cuts() -> None:
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
    found = stripped(graph, "out", 3)
    new = Quantized(found.graph, carry_scheme(scheme, found.graph, found.origin)).scheme
    assert new.tensors["out"] == tensors["out"]
    assert new.tensors["image"] == tensors["image"]
    for name, old in found.origin.items():
        assert new.tensors.get(name) == tensors.get(old)
        if found.graph[name].op == "conv":
            np.testing.assert_array_equal(new.kernels[name], kernels[old])
    assert {found.graph[name].op for name in new.kernels} == {"conv"}
