"""Neighbouring columns as channels of one pixel: fires, structure, numbers, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rewrite_sites import drawn, plain
from tests.support.rule_checks import apply_rule
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.reference import run
from u3p_edge.rewriting.rule import Match, Refusal
from u3p_edge.rewriting.rules.columns_as_channels import ColumnsAsChannels


def test_a_view_a_wider_convolution_and_a_view_take_its_place() -> None:
    graph = plain((6, 8), channels=1, filters=5)
    new = apply_rule(ColumnsAsChannels(), graph)
    assert [node.op for node in new.nodes] == ["input", "reshape", "conv", "reshape"]
    assert new.shapes["y_grouped"] == (1, 6, 8 // 4, 4 * 1)
    assert new["y_wide"].weights["kernel"].shape == (3, 3, 4 * 1, 4 * 5)
    assert np.count_nonzero(new["y_wide"].weights["kernel"]) == 4 * np.count_nonzero(graph["y"].weights["kernel"])
    assert cost(new).total_macs == 4 * cost(graph).total_macs
    assert new["y"].op == "reshape"


@given(
    groups=st.integers(2, 4),
    height=st.integers(1, 5),
    channels=st.integers(1, 5),
    filters=st.integers(1, 4),
    kernel=st.sampled_from([3, 5]),
    bias=st.booleans(),
    activation=st.sampled_from(["linear", "relu"]),
)
@settings(max_examples=60, deadline=None)
def test_it_keeps_the_function_at_all_borders(
    groups: int, height: int, channels: int, filters: int, kernel: int, bias: bool, activation: str
) -> None:
    graph = plain((height, 4 * groups), channels, filters, kernel=kernel, bias=bias, activation=activation)
    match = ColumnsAsChannels().match(graph, "y")
    assert isinstance(match, Match)
    feeds = {"x": drawn(5, 1, height, 4 * groups, channels)}
    before, after = (run(g, feeds, dtype=np.float64)["y"] for g in (graph, ColumnsAsChannels().rewrite(graph, match)))
    # The same products in another order between zeros: at most 5 * 5 * 5 terms of at most about 3 in float64.
    np.testing.assert_allclose(after, before, rtol=0, atol=125 * 3 * np.finfo(np.float64).eps)


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (plain((6, 8), 8, 8), "fill the lanes"),
        (plain((6, 10), 1, 8), "groups of 4"),
        (plain((6, 4), 1, 8), "two or more"),
        (plain((6, 8), 1, 8, kernel=1), "1 columns"),
        (plain((6, 8), 1, 8, strides=(2, 2)), "strides"),
    ],
)
def test_refusals_say_why(graph: Graph, reason: str) -> None:
    match = ColumnsAsChannels().match(graph, "y")
    assert isinstance(match, Refusal)
    assert reason in match.reason
