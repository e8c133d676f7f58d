"""Graphs of shapes alone have the structure and the shapes of the pruned ones, and no weights worth the name."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.support.plans import keep_all
from tests.support.prunable_graphs import conv, cut, networks, of, op, plans, small_unet
from u3p_edge.errors import ModelError
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.pruning.shape_only_graph import ShapeOnlyGraph


@cache
def shape_only(folded: bool) -> ShapeOnlyGraph:
    return ShapeOnlyGraph(small_unet(folded))


def counts(plan: PruningPlan) -> dict[str, int]:
    return {name: len(elements) for name, elements in plan.kept.items()}


def form(node: Node) -> tuple[Any, ...]:
    """All that shapes depend on; of a cut along channels its width, as its bounds depend on which channels go."""
    attrs = dict(node.attrs)
    if node.op == "crop" and attrs["channels"] is not None:
        first, last = attrs.pop("channels")
        attrs["width"] = last - first
    return node.name, node.op, node.inputs, attrs, {key: (a.dtype, a.shape) for key, a in node.weights.items()}


def assert_same_form(mine: Graph, pruned: Graph) -> None:
    assert list(map(form, mine.nodes)) == list(map(form, pruned.nodes))
    assert (mine.inputs, mine.outputs, mine.name) == (pruned.inputs, pruned.outputs, pruned.name)
    assert mine.shapes == pruned.shapes


def applied(graph: Graph, plan: PruningPlan) -> Graph | str:
    """The pruned graph, or why there is none."""
    try:
        return apply_plan(graph, plan)
    except ModelError as error:
        return str(error)


def assert_sized_as_applied(skeleton: ShapeOnlyGraph, plan: PruningPlan) -> None:
    """Either both give a graph of the same form, or both refuse in the same words."""
    pruned = applied(skeleton.graph, plan)
    if isinstance(pruned, str):
        event("refused")
        with pytest.raises(ModelError) as found:
            skeleton.sized(counts(plan))
        assert str(found.value) == pruned
    else:
        event("with a lost map" if () in plan.kept.values() else "with smaller maps")
        assert_same_form(skeleton.sized(counts(plan)), pruned)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_random_graphs_are_sized_as_they_are_pruned(data: Any) -> None:
    graph = data.draw(networks())
    assert_sized_as_applied(ShapeOnlyGraph(graph), data.draw(plans(graph)))


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_cuts_have_the_bounds_of_keeping_the_first(data: Any) -> None:
    graph = data.draw(networks())
    plan = data.draw(plans(graph, least=1))
    first = PruningPlan({name: range(count) for name, count in counts(plan).items()})
    mine, pruned = ShapeOnlyGraph(graph).sized(counts(plan)), apply_plan(graph, first)
    assert [node.attrs for node in mine.nodes] == [node.attrs for node in pruned.nodes]


@pytest.mark.parametrize("folded", [False, True], ids=["as trained", "folded"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_unet3plus_is_sized_as_it_is_pruned(folded: bool, data: Any) -> None:
    assert_sized_as_applied(shape_only(folded), data.draw(plans(small_unet(folded))))


@pytest.mark.parametrize("folded", [False, True], ids=["as trained", "folded"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_unet3plus_with_lost_branches_is_sized_as_it_is_pruned(folded: bool, data: Any) -> None:
    """What its groups are drawn from above loses fusions and encoders, which is mostly refused."""
    branches = [group.name for group in find_groups(small_unet(folded)) if "_from_" in group.name]
    lost = data.draw(st.sets(st.sampled_from(branches), min_size=1, max_size=6))
    kept = data.draw(plans(small_unet(folded), least=1)).kept
    assert_sized_as_applied(shape_only(folded), PruningPlan({**kept, **dict.fromkeys(lost, ())}))


def test_nothing_is_lost_by_keeping_all() -> None:
    for folded in (False, True):
        everything = counts(keep_all(small_unet(folded)))
        for kept in (everything, {}):
            graph = shape_only(folded).sized(kept)
            assert cost(graph) == cost(apply_plan(small_unet(folded), keep_all(small_unet(folded))))


def test_weights_are_views_of_one_zero() -> None:
    graph = shape_only(False).sized({"enc1_conv2": 3})
    for node in graph.nodes:
        for array in node.weights.values():
            assert not array.flags.writeable
            assert array.strides == (0,) * array.ndim
            assert not array.any()


def test_a_shape_only_graph_gives_the_same_again_and_leaves_its_graph_alone() -> None:
    graph = of(conv("a", "x", 3, 4), conv("b", "x", 3, 4), op("s", "concat", "a", "b"), conv("y", "s", 8, 2))
    before = apply_plan(graph, keep_all(graph))
    result = ShapeOnlyGraph(graph)
    first = result.sized({"a": 2, "b": 0})
    result.sized({"a": 3})
    assert result.sized({"a": 2, "b": 0}) == first
    assert graph == before
    assert first["y"].inputs == ("a",)
    assert first["y"].weights["kernel"].shape == (1, 1, 2, 2)


def test_a_cut_between_parts_of_one_group_counts_what_is_before_it() -> None:
    graph = of(conv("a", "x", 3, 6), cut("t", "a", 2, 4), conv("y", "t", 2, 1), outputs=("y",))
    assert ShapeOnlyGraph(graph).sized({"a:0": 3, "a:2": 1})["t"].attrs["channels"] == (2, 3)
    # Elements 0, 1, 4 and 5 are one group; its first two are kept, both before the cut.
    assert ShapeOnlyGraph(graph).sized({"a:0": 2, "a:2": 2})["t"].attrs["channels"] == (2, 4)


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"a": -1}, "-1 channels of 'a' cannot be kept"),
        ({"a": 5}, "keeps channel 4 of 'a', which has 4"),
        ({"elsewhere": 0}, "names 'elsewhere', which is no channel group"),
        ({"x": 2}, "no channel of 'x' can be dropped: 'x' is an input"),
        ({"a": 0}, "leave 'y' with no channels to read"),
    ],
)
def test_counts_that_do_not_fit_are_refused(kept: dict[str, int], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ShapeOnlyGraph(of(conv("a", "x", 3, 4), conv("y", "a", 4, 2))).sized(kept)


def test_all_of_a_frozen_group_may_be_named() -> None:
    graph = of(conv("a", "x", 3, 4), conv("y", "a", 4, 2))
    assert ShapeOnlyGraph(graph).sized({"x": 3, "y": 2})["y"].weights["kernel"].shape == np.shape(graph["y"].weights["kernel"])
