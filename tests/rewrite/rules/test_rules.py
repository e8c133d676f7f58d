"""Every rule: it fires, the structure is right, the numbers are right, and it refuses where it must, with a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rewrite_sites import conv, drawn, image, joined, plain, upsampled
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.reference import run
from u3p_edge.rewrite.engine import find_lone_relus
from u3p_edge.rewrite.rule import Match, Refusal, Rule
from u3p_edge.rewrite.rules import RULES, JoinSum, LowRank, OneInterpolation, Pointwise, Separable, SplitConcat, Winograd
from u3p_edge.rewrite.rules.moves import PointwiseFirst, hoist_pointwise

EPSILON = float(np.finfo(np.float32).eps)


def rewritten(rule: Rule, graph: Graph, name: str = "y") -> Graph:
    match = rule.match(graph, name)
    assert isinstance(match, Match), match
    return rule.rewrite(graph, match)


def refusal(rule: Rule, graph: Graph, name: str = "y") -> str:
    found = rule.match(graph, name)
    assert isinstance(found, Refusal), found
    return found.reason


def deviation(a: Graph, b: Graph, dtype: Any) -> float:
    """Largest difference of two graphs' outputs on drawn inputs, relative to the largest output."""
    feeds = {name: drawn(i, *a.shapes[name]) for i, name in enumerate(a.inputs)}
    x, y = (run(graph, feeds, dtype=dtype)[graph.outputs[0]] for graph in (a, b))
    return float(np.abs(x - y).max() / max(np.abs(x).max(), 1e-30))


def tolerance(graph: Graph) -> float:
    """Each output is a sum of n products; either order of it is off by at most n * eps of the sum of their magnitudes.

    Magnitudes of drawn terms add up to sqrt(n) times their sum, and errors of drawn signs to sqrt(n) * eps, so n * eps covers
    both; the few further roundings (interpolations, sums of parts, Winograd's growth by 2) are within the factor 4.
    """
    products = max(node.weights["kernel"][..., 0].size for node in graph.nodes if "kernel" in node.weights)
    return 4 * max(products, 16) * EPSILON


@st.composite
def sites_over_upsampling(draw: st.DrawFn) -> Graph:
    factor = draw(st.sampled_from([(2, 2), (4, 4), (8, 8), (16, 16), (2, 4), (1, 2), (8, 1), (3, 5)]))
    return upsampled(
        size=(draw(st.integers(1, 5)), draw(st.integers(1, 5))),
        channels=draw(st.integers(1, 5)),
        filters=draw(st.integers(1, 3)),
        factor=factor,
        kernel=draw(st.sampled_from([1, 3, 5])),
        bias=draw(st.booleans()),
        activation=draw(st.sampled_from(["linear", "relu"])),
        interpolation=draw(st.sampled_from(["bilinear", "nearest"])),
    )


@given(sites_over_upsampling())
@settings(max_examples=40, deadline=None)
def test_rules_over_an_upsampled_map_keep_the_function_at_all_borders(graph: Graph) -> None:
    applied = 0
    for rule in (Pointwise(), Separable(), OneInterpolation(), LowRank()):
        match = rule.match(graph, "y")
        if isinstance(match, Match):
            other = rule.rewrite(graph, match)
            assert other.shapes["y"] == graph.shapes["y"]
            assert deviation(graph, other, np.float32) <= tolerance(graph)
            applied += 1
    kernel = graph["y"].weights["kernel"].shape[0]
    # A 1x1 kernel goes below as it is, unless its ReLU would be left alone behind a bilinear upsampling; a larger one can be
    # taken apart wherever the map is larger than half of it.
    blocked = graph["y"].attrs["activation"] == "relu" and graph["up"].attrs["interpolation"] == "bilinear"
    assert applied >= (min(graph.shapes["y"][1:3]) > kernel // 2 if kernel > 1 else not blocked)


@given(
    size=st.tuples(st.integers(2, 6).map(lambda n: 2 * n), st.integers(2, 6).map(lambda n: 2 * n)),
    channels=st.integers(1, 6),
    bias=st.booleans(),
    activation=st.sampled_from(["linear", "relu"]),
    axes=st.sampled_from(["rows", "both"]),
)
@settings(max_examples=40, deadline=None)
def test_winograd_keeps_the_function(size: tuple[int, int], channels: int, bias: bool, activation: str, axes: Any) -> None:
    graph = plain(size, channels, bias=bias, activation=activation)
    other = rewritten(Winograd(axes), graph)
    assert other.shapes["y"] == graph.shapes["y"]
    assert deviation(graph, other, np.float32) <= tolerance(graph)


def in_eighths(graph: Graph) -> Graph:
    """The graph with a kernel of eighths: no float32 weight of any form is rounded then, so only float64's own rounding is
    left."""
    eighths = np.round(graph["y"].weights["kernel"] * 8) / np.float32(8)
    exact = replace(graph["y"], weights={**graph["y"].weights, "kernel": eighths})
    return replace(graph, nodes=(*graph.nodes[:-1], exact))


EXACT = [Separable(), OneInterpolation(), Winograd("rows"), Winograd("both")]


@pytest.mark.parametrize("rule", EXACT, ids=lambda rule: rule.name)
def test_the_identities_are_exact_in_real_arithmetic(rule: Rule) -> None:
    graph = in_eighths(upsampled((5, 4), channels=4, factor=(4, 2)))
    # 36 products and as many sums: 100 * 2.2e-16. The scales 1 / 2s of one interpolation are powers of two here, so exact.
    assert deviation(graph, rewritten(rule, graph), np.float64) < 100 * np.finfo(np.float64).eps


@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.sampled_from(["linear", "relu"]))
@settings(max_examples=20, deadline=None)
def test_a_sum_of_parts_keeps_the_function(widths: list[int], activation: str) -> None:
    graph = joined(tuple(widths), activation=activation)
    other = rewritten(SplitConcat(), graph)
    assert deviation(graph, other, np.float32) <= tolerance(graph)
    assert [node.op for node in other.nodes].count("conv") == len(widths)
    assert "concat" not in [node.op for node in other.nodes]


def test_a_sum_of_two_parts_goes_back_to_one_convolution() -> None:
    split = rewritten(SplitConcat(), joined((2, 3), activation="linear"))
    back = rewritten(JoinSum(), split)
    assert [node.op for node in back.nodes] == ["input", "input", "concat", "conv"]
    assert deviation(split, back, np.float32) <= tolerance(back)


def test_separable_has_k_squared_products_at_low_resolution_and_k_interpolations_at_full_size() -> None:
    graph = upsampled((4, 6), channels=8, filters=2, factor=(4, 4))
    other = rewritten(Separable(), graph)
    found = other.shapes
    convs = [node for node in other.nodes if node.op == "conv"]
    # The products of a row of the kernel are one convolution, side by side in the channels.
    assert [found[node.name] for node in convs] == [(1, 4, 6, 3 * 2)] * 3
    assert [other[f"y_tap{a}"].weights["kernel"][0, 0, 0, 4:].tolist() for a in range(3)] == [
        graph["y"].weights["kernel"][a, 2, 0].tolist() for a in range(3)
    ]
    assert sum("bias" in node.weights for node in convs) == 1
    assert sum(node.op == "upsample" and found[node.name] == (1, 16, 24, 2) for node in other.nodes) == 3
    # The rows stand side by side in the columns while all grow along rows, and the taps of a row come apart for the last sum.
    assert [found[node.name] for node in other.nodes if node.op == "concat"] == [(1, 4, 3 * 6, 6)]
    assert [found[node.name] for node in other.nodes if node.attrs.get("size") == (4, 1)] == [(1, 16, 3 * 6, 6)]
    assert [found[f"y_row{a}"] for a in range(3)] == [(1, 16, 6, 6)] * 3
    assert other["y_row1"].attrs["cropping"] == ((0, 0), (6, 6))
    assert [found[f"y_column{b}"] for b in range(3)] == [(1, 16, 6, 2)] * 3
    assert [other[f"y_column{b}"].attrs["channels"] for b in range(3)] == [(0, 2), (2, 4), (4, 6)]
    assert cost(other).total_macs * 16 == cost(graph).total_macs
    assert "up" not in other


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
@pytest.mark.parametrize("width", [2, 3, 5])
def test_one_interpolation_is_exact_at_every_even_scale_and_at_both_ends(factor: int, width: int) -> None:
    graph = in_eighths(upsampled((3, width), channels=2, factor=(2, factor), activation="linear"))
    other = rewritten(OneInterpolation(), graph)
    found = other.shapes
    assert sum(node.op == "add" and node.name.startswith("y_taps") for node in other.nodes) == 0, "the taps are not summed"
    kernel, filters = graph["y"].weights["kernel"], found["y"][3]
    np.testing.assert_array_equal(other["y_tap1"].weights["kernel"][0, 0, :, filters:-filters], kernel[1].sum(axis=0))
    assert sum(node.op == "upsample" and found[node.name][2] == width * factor for node in other.nodes) == 1
    assert deviation(graph, other, np.float64) < 100 * np.finfo(np.float64).eps


def test_a_kernel_of_one_row_has_nothing_to_join() -> None:
    graph = upsampled((4, 6), channels=8, filters=2, factor=(1, 4))
    flat = replace(graph["y"], weights={**graph["y"].weights, "kernel": graph["y"].weights["kernel"][1:2]})
    graph = replace(graph, nodes=(*graph.nodes[:-1], flat))
    other = rewritten(Separable(), graph)
    assert [node.name for node in other.nodes if node.op in ("conv", "concat")] == ["y_taps"]
    assert deviation(graph, other, np.float32) <= tolerance(graph)


def test_one_interpolation_refuses_what_it_does_not_hold_for() -> None:
    rule = OneInterpolation()
    assert "even factor" in refusal(rule, upsampled(factor=(2, 3)))
    assert "even factor" in refusal(rule, upsampled(interpolation="nearest"))
    assert "not 3" in refusal(rule, upsampled(kernel=5))
    assert "one column" in refusal(rule, upsampled((4, 1)))


@pytest.mark.parametrize(("axes", "share"), [("rows", 4 / 6), ("both", 16 / 36)])
def test_winograd_multiplies_less(axes: Any, share: float) -> None:
    graph = plain((8, 8))
    assert cost(rewritten(Winograd(axes), graph)).total_macs == pytest.approx(share * cost(graph).total_macs)


def test_winograd_pads_once_and_views_pairs_of_rows_side_by_side() -> None:
    other = rewritten(Winograd("rows"), plain((8, 10), channels=3, filters=2))
    found = other.shapes
    ops = [node.op for node in other.nodes]
    assert (ops.count("pad"), ops.count("reshape"), ops.count("crop"), ops.count("conv")) == (1, 2, 4, 4)
    assert found["y_padded"] == (1, 10, 10, 3)
    assert found["y_pairs"] == (1, 5, 2 * 10, 3)
    assert [found[f"y_d{k}"] for k in range(4)] == [(1, 4, 10, 3)] * 4
    assert [other[f"y_m{i}"].weights["kernel"].shape for i in range(4)] == [(1, 3, 3, 2)] * 4


def test_winograd_in_both_directions_pads_once_and_lays_blocks_into_the_channels() -> None:
    other = rewritten(Winograd("both"), plain((8, 10), channels=3, filters=2))
    found = other.shapes
    ops = [node.op for node in other.nodes]
    assert (ops.count("pad"), ops.count("space_to_depth"), ops.count("depth_to_space"), ops.count("reshape")) == (1, 1, 1, 0)
    assert found["y_padded"] == (1, 10, 12, 3)
    assert found["y_blocks"] == (1, 5, 6, 4 * 3)
    # Along rows both places of a row at once, along columns each by itself.
    assert [found[f"y_t{i}"] for i in range(4)] == [(1, 4, 6, 2 * 3)] * 4
    convs = [node for node in other.nodes if node.op == "conv"]
    assert [(found[node.name], node.weights["kernel"].shape) for node in convs] == [((1, 4, 5, 2), (1, 1, 3, 2))] * 16
    assert [node.name for node in convs if "bias" in node.weights] == ["y_1_m1"]


def test_low_rank_upsamples_fewer_channels_and_is_exact_at_full_rank() -> None:
    graph = upsampled((3, 3), channels=40, filters=2)
    other = rewritten(LowRank(), graph)
    found = other.shapes
    assert [found[node.name][3] for node in other.nodes if node.op == "upsample"] == [18]  # 3 * 3 * 2 of 40
    assert deviation(graph, other, np.float32) <= tolerance(graph)


def test_low_rank_of_a_plain_convolution_with_few_filters() -> None:
    graph = plain((6, 8), channels=40, filters=1, activation="linear")
    other = rewritten(LowRank(), graph)
    assert [node.weights["kernel"].shape for node in other.nodes if node.op == "conv"] == [(1, 1, 40, 9), (3, 3, 9, 1)]
    assert deviation(graph, other, np.float32) <= tolerance(graph)


def test_a_truncated_rank_is_off_by_what_its_energy_says() -> None:
    graph = upsampled((3, 3), channels=40, filters=2, bias=False, activation="linear")
    rule = LowRank(energy=0.9)
    assert not rule.exact
    other = rewritten(rule, graph)
    small, above = other["y_small"].weights["kernel"][0, 0], other["y"].weights["kernel"]
    product = np.einsum("cr,hwrf->hwcf", small, above)
    kernel = graph["y"].weights["kernel"]
    missed = np.sum((product - kernel) ** 2) / np.sum(kernel**2)
    values = np.linalg.svd(kernel.transpose(2, 0, 1, 3).reshape(40, -1), compute_uv=False)
    dropped = values[small.shape[1] :]
    # Eckart-Young: what is missed is the energy of the singular values left out, and that is at most 1 - 0.9.
    assert missed == pytest.approx(np.sum(dropped**2) / np.sum(values**2), rel=1e-3)
    assert missed <= 0.1
    assert np.sum(values[small.shape[1] - 1 :] ** 2) / np.sum(values**2) > 0.1  # one rank less would not do


def test_pointwise_moves_below_the_upsampling() -> None:
    graph = upsampled(kernel=1, activation="linear")
    other = rewritten(Pointwise(), graph)
    assert [node.op for node in other.nodes] == ["input", "conv", "upsample"]
    assert cost(other).total_macs * 4 == cost(graph).total_macs


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_rewrite_leaves_a_relu_that_no_kernel_fuses(rule: Rule) -> None:
    graphs = [upsampled(), upsampled(channels=40), plain(), joined(), upsampled(kernel=1, interpolation="nearest")]
    for graph in graphs:
        match = rule.match(graph, "y")
        if isinstance(match, Match):
            assert find_lone_relus(rule.rewrite(graph, match)) == ()


def test_a_relu_behind_a_resize_is_called_lone() -> None:
    up = Node("up", "upsample", ("x",), {"interpolation": "bilinear"})
    relu = Node("y", "activation", ("up",), {"function": "relu"})
    assert find_lone_relus(Graph((image(4, 4, 1), up, relu), ("x",), ("y",))) == ("y",)


@pytest.mark.parametrize(
    ("attrs", "reason"),
    [
        ({"strides": (2, 2)}, "strides"),
        ({"padding": "valid"}, "borders"),
        ({"dilation": (2, 2)}, "dilated"),
        ({"activation": "sigmoid"}, "sigmoid"),
    ],
)
@pytest.mark.parametrize("rule", [Separable(), LowRank(), Winograd("rows")], ids=lambda rule: rule.name)
def test_rules_refuse_other_convolutions_with_the_reason(rule: Rule, attrs: dict[str, Any], reason: str) -> None:
    graph = upsampled((8, 8), channels=40)
    other = replace(graph, nodes=(*graph.nodes[:-1], replace(graph["y"], attrs={**graph["y"].attrs, **attrs})))
    assert reason in refusal(rule, other)


def test_rules_refuse_an_even_kernel_and_a_grouped_one() -> None:
    nodes = upsampled((8, 8), channels=4).nodes[:-1]
    even = Graph((*nodes, conv("y", "up", drawn(0, 2, 2, 4, 4))), ("x",), ("y",))
    grouped = Graph((*nodes, conv("y", "up", drawn(0, 3, 3, 2, 4), groups=2)), ("x",), ("y",))
    assert "centre" in refusal(Separable(), even)
    assert "grouped" in refusal(Separable(), grouped)


def test_refusals_say_what_would_be_gained_or_lost() -> None:
    assert "no channel is saved" in refusal(LowRank(), upsampled(channels=4))
    assert "stand alone" in refusal(Pointwise(), upsampled(kernel=1))
    assert "one column" in refusal(Separable(), upsampled(kernel=1))
    assert "too small" in refusal(Separable(), upsampled((1, 4), factor=(2, 2), kernel=5))
    assert "do not pair" in refusal(Winograd("rows"), plain((7, 8)))
    assert "do not pair" in refusal(Winograd("both"), plain((8, 7)))
    assert "not 3" in refusal(Winograd("rows"), plain(kernel=5))


def test_an_upsampling_that_something_else_reads_is_left_alone() -> None:
    graph = upsampled()
    both = replace(graph, outputs=("y", "up"))
    assert "something else" in refusal(Separable(), both)


def test_sums_refuse_to_join_what_something_else_reads() -> None:
    split = rewritten(SplitConcat(), joined((2, 3), activation="linear"))
    shared = replace(split, outputs=("y", "y_part0"))
    assert "something else" in refusal(JoinSum(), shared)


def interleaved(filters: int) -> Graph:
    """A head `head` over a map whose rows Winograd has joined."""
    graph = rewritten(Winograd("rows"), plain((6, 8), filters=4, activation="relu"))
    return replace(graph, nodes=(*graph.nodes, conv("head", "y", drawn(5, 1, 1, 4, filters))), outputs=("head",))


def test_a_pointwise_convolution_goes_before_the_moves_behind_winograd() -> None:
    graph = interleaved(filters=2)
    other = hoist_pointwise(graph)
    found = other.shapes
    assert [found[node.name] for node in other.nodes if node.name.startswith("head")] == [
        *[(1, 3, 8, 2)] * 2, (1, 3, 16, 2), (1, 6, 8, 2),
    ]  # fmt: skip
    # The same products and sums at every place: not one bit differs.
    assert deviation(graph, other, np.float32) == 0
    assert cost(other).total_macs == cost(graph).total_macs


def test_a_pointwise_convolution_stays_where_nothing_less_would_be_moved() -> None:
    wide = interleaved(filters=4)
    assert hoist_pointwise(wide) == wide
    assert "nothing less" in refusal(PointwiseFirst(), wide, "head")
    shared = interleaved(filters=2)
    shared = replace(shared, outputs=("head", "y"))
    assert "something else" in refusal(PointwiseFirst(), shared, "head")


def test_rules_are_not_about_other_nodes() -> None:
    graph = plain()
    assert Separable().match(graph, "y") is None
    assert SplitConcat().match(graph, "y") is None
    assert JoinSum().match(graph, "y") is None
    assert Winograd("rows").match(graph, "x") is None
