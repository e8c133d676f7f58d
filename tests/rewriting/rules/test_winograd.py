"""Winograd convolutions: fires, structure, numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rewrite_sites import conv, drawn, image, plain
from tests.support.rule_checks import apply_rule, deviation, tolerance
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph
from u3p_edge.rewriting.rules.winograd import Winograd


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
    other = apply_rule(Winograd(axes), graph)
    assert other.shapes["y"] == graph.shapes["y"]
    assert deviation(graph, other, np.float32) <= tolerance(graph)


@pytest.mark.parametrize(("axes", "share"), [("rows", 4 / 6), ("both", 16 / 36)])
def test_winograd_multiplies_less(axes: Any, share: float) -> None:
    graph = plain((8, 8))
    assert cost(apply_rule(Winograd(axes), graph)).total_macs == pytest.approx(share * cost(graph).total_macs)


def test_winograd_pads_once_and_views_pairs_of_rows_side_by_side() -> None:
    other = apply_rule(Winograd("rows"), plain((8, 10), channels=3, filters=2))
    shapes = other.shapes
    ops = [node.op for node in other.nodes]
    assert (ops.count("pad"), ops.count("reshape"), ops.count("crop"), ops.count("conv")) == (1, 2, 4, 4)
    assert shapes["y_padded"] == (1, 10, 10, 3)
    assert shapes["y_pairs"] == (1, 5, 2 * 10, 3)
    assert [shapes[f"y_d{k}"] for k in range(4)] == [(1, 4, 10, 3)] * 4
    assert [other[f"y_m{i}"].weights["kernel"].shape for i in range(4)] == [(1, 3, 3, 2)] * 4


def test_winograd_in_both_directions_pads_once_and_lays_blocks_into_the_channels() -> None:
    other = apply_rule(Winograd("both"), plain((8, 10), channels=3, filters=2))
    shapes = other.shapes
    ops = [node.op for node in other.nodes]
    assert (ops.count("pad"), ops.count("space_to_depth"), ops.count("depth_to_space"), ops.count("reshape")) == (1, 1, 1, 0)
    assert shapes["y_padded"] == (1, 10, 12, 3)
    assert shapes["y_blocks"] == (1, 5, 6, 4 * 3)
    # Along rows both places of a row at once, along columns each by itself.
    assert [shapes[f"y_t{i}"] for i in range(4)] == [(1, 4, 6, 2 * 3)] * 4
    convs = [node for node in other.nodes if node.op == "conv"]
    assert [(shapes[node.name], node.weights["kernel"].shape) for node in convs] == [((1, 4, 5, 2), (1, 1, 3, 2))] * 16
    assert [node.name for node in convs if "bias" in node.weights] == ["y_1_m1"]


@pytest.mark.parametrize("first", ["conv2d", "conv2d_1"])
def test_layers_with_the_names_that_keras_gives_them_keep_apart(first: str) -> None:
    """The parts of `conv2d` along both axes and those of `conv2d_1` would have the same names."""
    nodes = (
        image(8, 8, 3),
        conv("conv2d", "x", drawn(1, 3, 3, 3, 4) / np.float32(5), activation="relu"),
        conv("conv2d_1", "conv2d", drawn(2, 3, 3, 4, 2) / np.float32(6)),
    )
    graph = Graph(nodes, ("x",), ("conv2d_1",))
    second = "conv2d_1" if first == "conv2d" else "conv2d"
    rewritten = apply_rule(Winograd("both"), apply_rule(Winograd("both"), graph, first), second)
    assert deviation(graph, rewritten, np.float64) < 2 * tolerance(graph)
