"""Every rule: it fires, the structure is right, the numbers are right, and it refuses where it must, with a reason."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rewrite_sites import conv, drawn, image, joined, plain, upsampled
from tests.support.rule_checks import apply_rule, deviation, in_eighths, refusal, tolerance
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.rewriting.engine import find_lone_relus
from u3p_edge.rewriting.passes import RULES
from u3p_edge.rewriting.rule import Match, Rule
from u3p_edge.rewriting.rules.low_rank import LowRank
from u3p_edge.rewriting.rules.one_interpolation import OneInterpolation
from u3p_edge.rewriting.rules.separable import Separable
from u3p_edge.rewriting.rules.winograd import Winograd


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
    for rule in (Separable(), OneInterpolation(), LowRank()):
        match = rule.match(graph, "y")
        if isinstance(match, Match):
            other = rule.rewrite(graph, match)
            assert other.shapes["y"] == graph.shapes["y"]
            assert deviation(graph, other, np.float32) <= tolerance(graph)
            applied += 1
    kernel = graph["y"].weights["kernel"].shape[0]
    # A kernel can be taken apart wherever the map is larger than half of it, and a 1x1 kernel nowhere.
    assert applied >= (kernel > 1 and min(graph.shapes["y"][1:3]) > kernel // 2)


EXACT = [Separable(), OneInterpolation(), Winograd("rows"), Winograd("both")]


@pytest.mark.parametrize("rule", EXACT, ids=lambda rule: rule.name)
def test_the_identities_are_exact_in_real_arithmetic(rule: Rule) -> None:
    graph = in_eighths(upsampled((5, 4), channels=4, factor=(4, 2)))
    # 36 products and as many sums: 100 * 2.2e-16. The scales 1 / 2s of one interpolation are powers of two here, so exact.
    assert deviation(graph, apply_rule(rule, graph), np.float64) < 100 * np.finfo(np.float64).eps


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_no_rewrite_leaves_a_relu_that_no_kernel_fuses(rule: Rule) -> None:
    graphs = [upsampled(), upsampled(channels=40), plain(), joined()]
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
    assert "one column" in refusal(Separable(), upsampled(kernel=1))
    assert "too small" in refusal(Separable(), upsampled((1, 4), factor=(2, 2), kernel=5))
    assert "do not pair" in refusal(Winograd("rows"), plain((7, 8)))
    assert "do not pair" in refusal(Winograd("both"), plain((8, 7)))
    assert "not 3" in refusal(Winograd("rows"), plain(kernel=5))


def test_an_upsampling_that_something_else_reads_is_left_alone() -> None:
    graph = upsampled()
    both = replace(graph, outputs=("y", "up"))
    assert "something else" in refusal(Separable(), both)


def test_rules_are_not_about_other_nodes() -> None:
    graph = plain()
    assert Separable().match(graph, "y") is None
    assert Winograd("rows").match(graph, "x") is None
