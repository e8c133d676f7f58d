"""The smaller graph: its structure, its numbers, what becomes of lost branches, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.support.plans import keep_all
from tests.support.prunable_graphs import (
    assert_same_values,
    conv,
    cut,
    disturbed,
    linear,
    networks,
    norm,
    of,
    op,
    plans,
    values,
)
from tests.support.rewrite_sites import drawn, image
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.pruning.apply import apply_plan, mask_channels
from u3p_edge.pruning.plan import PruningPlan


def branches() -> Graph:
    """Three branches of 2 channels, each behind a convolution of its own, joined and fused."""
    nodes = [conv("stem", "x", 3, 4)]
    for i in range(3):
        nodes += [conv(f"b{i}", "stem", 4, 2, kernel=3), norm(f"n{i}", f"b{i}", 2)]
        nodes.append(op(f"s{i}", "activation", f"n{i}", function="sigmoid"))
    return of(*nodes, op("all", "concat", "s0", "s1", "s2"), conv("fuse", "all", 6, 5), conv("y", "fuse", 5, 1))


def widths(graph: Graph) -> dict[str, int]:
    return {name: shape[-1] for name, shape in graph.shapes.items()}


def assert_masked(graph: Graph, plan: PruningPlan) -> Graph:
    """The pruned graph, which computes what the masked one does, whatever the dropped channels hold."""
    pruned = apply_plan(graph, plan)
    silent = mask_channels(graph, plan)
    assert silent.shapes == graph.shapes
    assert_same_values(pruned, silent)
    assert_same_values(disturbed(silent, plan), silent)
    return pruned


def test_channels_go_from_every_weight_that_has_them() -> None:
    graph = branches()
    pruned = assert_masked(graph, PruningPlan({"stem": (1, 3), "b1": (0,), "fuse": (0, 2, 4)}))
    expected = {"x": 3, "stem": 2, "b0": 2, "b1": 1, "b2": 2, "all": 2 + 1 + 2, "fuse": 3, "y": 1}
    assert {name: widths(pruned)[name] for name in expected} == expected
    for key in ("gamma", "beta", "mean", "variance"):
        np.testing.assert_array_equal(pruned["n1"].weights[key], graph["n1"].weights[key][:1])
    kernel = graph["fuse"].weights["kernel"][:, :, [0, 1, 2, 4, 5]][..., [0, 2, 4]]
    np.testing.assert_array_equal(pruned["fuse"].weights["kernel"], kernel)


def test_the_argument_stays_as_it_is_and_a_plan_that_drops_nothing_changes_nothing() -> None:
    graph, before = branches(), branches()
    apply_plan(graph, PruningPlan({"stem": (0,)}))
    mask_channels(graph, PruningPlan({"stem": (0,)}))
    assert graph == before
    for plan in (PruningPlan(), keep_all(graph)):
        assert apply_plan(graph, plan) == mask_channels(graph, plan) == graph


def test_masking_only_silences_readers() -> None:
    graph = branches()
    silent = mask_channels(graph, PruningPlan({"b1": (1,)}))
    assert [a.name for a, b in zip(silent.nodes, graph.nodes, strict=True) if a != b] == ["fuse"]
    expected = graph["fuse"].weights["kernel"].copy()
    expected[:, :, 2] = 0
    np.testing.assert_array_equal(silent["fuse"].weights["kernel"], expected)


def test_a_branch_without_channels_disappears() -> None:
    pruned = assert_masked(branches(), PruningPlan({"b1": ()}))
    assert not {"b1", "n1", "s1"} & set(widths(pruned))
    assert pruned["all"].inputs == ("s0", "s2")
    assert widths(pruned)["all"] == 2 + 2


def test_what_only_a_lost_branch_read_disappears_too() -> None:
    nodes = [conv("deep", "x", 3, 4), conv("b0", "deep", 4, 2), conv("b1", "x", 3, 2), op("all", "concat", "b0", "b1")]
    graph = of(*nodes, conv("y", "all", 4, 1))
    pruned = assert_masked(graph, PruningPlan({"b0": (), "deep": (1,)}))
    assert [node.name for node in pruned.nodes] == ["x", "b1", "y"]
    assert_masked(graph, PruningPlan({"b0": (), "deep": ()}))


def test_the_last_branch_is_read_without_a_concatenation() -> None:
    pruned = assert_masked(branches(), PruningPlan({"b0": (), "b2": (), "b1": (1,)}))
    assert "all" not in pruned
    assert pruned["fuse"].inputs == ("s1",)
    assert pruned["fuse"].weights["kernel"].shape == (1, 1, 1, 5)


def test_an_input_that_nothing_reads_any_more_stays_an_input() -> None:
    nodes = [conv("b0", "x", 3, 2), conv("b1", "z", 2, 2), op("all", "concat", "b0", "b1"), conv("y", "all", 4, 1)]
    graph = Graph((image(4, 4, 3), image(4, 4, 2, "z"), *nodes), ("x", "z"), ("y",))
    assert assert_masked(graph, PruningPlan({"b1": ()})).inputs == ("x", "z")


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            {"b0": (), "b1": (), "b2": ()},
            "leave 'fuse' with no channels to read. Keep a channel of 'all'",
        ),
        ({"stem": ()}, "leave 'b2' with no channels to read. Keep a channel of 'stem', or drop all of 'b2'"),
        ({"fuse": ()}, "leave 'y' with no channels to read"),
    ],
)
def test_a_plan_that_leaves_nothing_to_read_is_refused(plan: dict[str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        apply_plan(branches(), PruningPlan(plan))
    assert mask_channels(branches(), PruningPlan(plan)).shapes == branches().shapes


def sum_of_parts(*, bias: bool, last: str = "y") -> Graph:
    """What a convolution over a concatenation becomes: the parts' convolutions, added."""
    nodes = [conv("a", "x", 3, 2), conv("b", "x", 3, 2), conv("p0", "a", 2, 4), conv("p1", "b", 2, 4, bias=bias)]
    nodes += [op("u1", "upsample", "p1"), op("u0", "upsample", "p0"), op("s", "add", "u0", "u1")]
    return of(*nodes, *([conv("y", "s", 4, 1)] if last == "y" else []), outputs=(last,))


def test_a_sum_goes_on_without_a_term_that_is_zero() -> None:
    pruned = assert_masked(sum_of_parts(bias=False), PruningPlan({"b": ()}))
    assert [node.name for node in pruned.nodes] == ["x", "a", "p0", "u0", "y"]


def test_a_sum_that_is_an_output_keeps_its_name() -> None:
    pruned = assert_masked(sum_of_parts(bias=False, last="s"), PruningPlan({"b": ()}))
    assert (pruned["s"].op, pruned["s"].inputs, pruned.outputs) == ("identity", ("u0",), ("s",))


def test_a_term_that_would_be_its_bias_alone_is_refused() -> None:
    with pytest.raises(ModelError, match="leave 'p1' with no channels to read"):
        apply_plan(sum_of_parts(bias=True), PruningPlan({"b": ()}))
    with pytest.raises(ModelError, match="leave 'p0' with no channels to read"):
        apply_plan(sum_of_parts(bias=False), PruningPlan({"a": (), "b": ()}))


@pytest.mark.parametrize(
    "term",
    [
        [conv("t", "b", 2, 4, bias=False, activation="sigmoid")],
        [conv("p", "b", 2, 4, bias=False), op("t", "activation", "p", function="sigmoid")],
        [conv("p", "b", 2, 4, bias=False), op("t", "relu", "p", threshold=1.0, negative_slope=0.5)],
        [conv("p", "b", 2, 4, bias=False), norm("t", "p", 4)],
    ],
    ids=["in the convolution", "sigmoid", "threshold", "shift"],
)
def test_a_term_that_would_be_a_constant_is_refused(term: list[Node]) -> None:
    graph = of(conv("a", "x", 3, 4), conv("b", "x", 3, 2), *term, op("s", "add", "a", "t"), conv("y", "s", 4, 1))
    with pytest.raises(ModelError, match=f"leave {term[0].name!r} with no channels to read"):
        apply_plan(graph, PruningPlan({"b": ()}))


def test_a_zero_term_whose_shape_decides_the_sum_is_refused() -> None:
    nodes = [conv("a", "x", 3, 2), conv("b", "x", 3, 2), conv("wide", "b", 2, 4, bias=False), op("g", "global_max_pool", "a")]
    graph = of(*nodes, linear("d", "dense", "g", (2, 4)), op("s", "add", "d", "wide"), conv("y", "s", 4, 1))
    with pytest.raises(ModelError, match="leave 'wide' with no channels to read"):
        apply_plan(graph, PruningPlan({"b": ()}))


def test_views_count_their_channels_anew() -> None:
    nodes = [
        conv("a", "x", 3, 6),
        op("v", "reshape", "a", target_shape=(4, 8, 3)),
        op("w", "reshape", "v", target_shape=(4, -1, 6)),
    ]
    last = op("u", "reshape", "w", target_shape=(4, 2, -1))
    graph = of(*nodes, last, conv("y", "u", 12, 1))
    pruned = assert_masked(graph, PruningPlan({"a": (0, 2)}))
    assert [pruned[name].attrs["target_shape"] for name in "vwu"] == [(4, 8, 2), (4, -1, 2 * 2), (4, 2, -1)]
    assert pruned.shapes["u"] == (1, 4, 2, 8 // 2 * 2)


def test_cuts_along_channels_are_counted_anew() -> None:
    cuts = [cut("s", "a", 0, 2), cut("t", "a", 2, 6)]
    graph = of(conv("a", "x", 3, 6), *cuts, conv("b", "s", 2, 2), conv("c", "t", 4, 2), op("y", "concat", "b", "c"))
    pruned = assert_masked(graph, PruningPlan({"a:0": (1,), "a:2": (0, 3)}))
    assert [pruned[name].attrs["channels"] for name in "st"] == [(0, 1), (1, 3)]


def test_blocks_of_places_lose_the_same_channels_everywhere() -> None:
    tall, wide = op("tall", "depth_to_space", "a"), op("wide", "space_to_depth", "b")
    graph = of(conv("a", "x", 3, 8), tall, conv("b", "tall", 2, 3), wide, conv("y", "wide", 12, 2))
    pruned = assert_masked(graph, PruningPlan({"a": (1,), "b": (0, 2)}))
    assert widths(pruned) == {"x": 3, "a": 4 * 1, "tall": 1, "b": 2, "wide": 4 * 2, "y": 2}


def test_a_block_of_squeeze_and_excitation_stays_one() -> None:
    nodes = [conv("a", "x", 3, 4), op("p", "global_average_pool", "a"), linear("d", "dense", "p", (4, 2), activation="relu")]
    nodes += [linear("e", "dense", "d", (2, 4), activation="sigmoid"), op("m", "multiply", "a", "e"), conv("y", "m", 4, 1)]
    graph, plan = of(*nodes), PruningPlan({"a": (0, 3), "d": (1,)})
    pruned = apply_plan(graph, plan)
    assert {name: widths(pruned)[name] for name in "ade"} == {"a": 2, "d": 1, "e": 2}
    mine, theirs = (values(g)["y"] for g in (pruned, mask_channels(graph, plan)))
    # NumPy may add the 16 places of a mean in another order when there are fewer channels: 16 roundings of float64.
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=16 * np.finfo(np.float64).eps)


def test_slopes_and_depthwise_kernels_are_cut_with_their_channels() -> None:
    slope = Node("p", "prelu", ("a",), {"shared_axes": (1, 2)}, {"alpha": drawn(1, 1, 1, 3)})
    depthwise = linear("d", "depthwise_conv", "p", (3, 3, 3, 2), padding="same")
    transposed = linear("t", "conv_transpose", "d", (2, 2, 6, 3), strides=(2, 2))
    pruned = assert_masked(
        of(conv("a", "x", 3, 3), slope, depthwise, transposed, conv("y", "t", 3, 1)), PruningPlan({"a": (0, 2), "t": (1,)})
    )
    assert pruned["p"].weights["alpha"].shape == (1, 1, 2)
    assert pruned["d"].weights["kernel"].shape == (3, 3, 2, 2)
    assert pruned["d"].weights["bias"].shape == (2 * 2,)
    assert pruned["t"].weights["kernel"].shape == (2, 2, 2 * 2, 1)


def refused(graph: Graph, plan: PruningPlan) -> bool:
    """Whether the plan leaves a node nothing to read."""
    try:
        apply_plan(graph, plan)
    except ModelError as error:
        return "with no channels to read" in str(error)
    return False


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_pruned_random_graphs_compute_what_masked_ones_do(data: Any) -> None:
    graph = data.draw(networks())
    plan = data.draw(plans(graph))
    if () in plan.kept.values() and refused(graph, plan):
        event("refused")
        return
    event("with a lost map" if () in plan.kept.values() else "with smaller maps")
    pruned = assert_masked(graph, plan)
    assert (pruned.inputs, pruned.outputs) == (graph.inputs, graph.outputs)
    assert apply_plan(pruned, keep_all(pruned)) == pruned


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_every_group_may_keep_any_of_its_channels(data: Any) -> None:
    graph = data.draw(networks())
    assert_masked(graph, data.draw(plans(graph, least=1)))
