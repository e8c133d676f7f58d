"""Convolutions over upsampled maps, one axis after the other: fires, structure, numbers, refusals."""

from __future__ import annotations

from tests.support.rewrite_sites import upsampled
from tests.support.rule_checks import apply_rule
from u3p_edge.graph.cost import cost
from u3p_edge.rewriting.rules.separable import Separable


def test_separable_has_k_squared_products_at_low_resolution_and_k_interpolations_at_full_size() -> None:
    graph = upsampled((4, 6), channels=8, filters=2, factor=(4, 4))
    other = apply_rule(Separable(), graph)
    shapes = other.shapes
    convs = [node for node in other.nodes if node.op == "conv"]
    # The products of a row of the kernel are one convolution, side by side in the channels.
    assert [shapes[node.name] for node in convs] == [(1, 4, 6, 3 * 2)] * 3
    assert [other[f"y_tap{a}"].weights["kernel"][0, 0, 0, 4:].tolist() for a in range(3)] == [
        graph["y"].weights["kernel"][a, 2, 0].tolist() for a in range(3)
    ]
    assert sum("bias" in node.weights for node in convs) == 1
    assert sum(node.op == "upsample" and shapes[node.name] == (1, 16, 24, 2) for node in other.nodes) == 3
    # The rows stand side by side in the columns while all grow along rows, and the taps of a row come apart for the last sum.
    assert [shapes[node.name] for node in other.nodes if node.op == "concat"] == [(1, 4, 3 * 6, 6)]
    assert [shapes[node.name] for node in other.nodes if node.attrs.get("size") == (4, 1)] == [(1, 16, 3 * 6, 6)]
    assert [shapes[f"y_row{a}"] for a in range(3)] == [(1, 16, 6, 6)] * 3
    assert other["y_row1"].attrs["cropping"] == ((0, 0), (6, 6))
    assert [shapes[f"y_column{b}"] for b in range(3)] == [(1, 16, 6, 2)] * 3
    assert [other[f"y_column{b}"].attrs["channels"] for b in range(3)] == [(0, 2), (2, 4), (4, 6)]
    assert cost(other).total_macs * 16 == cost(graph).total_macs
    assert "up" not in other
