"""Pointwise convolutions in front of what only moves values: structure, numbers, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.support.rewrite_sites import conv, drawn, plain
from tests.support.rule_checks import apply_rule, deviation, refusal
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph
from u3p_edge.rewriting.rules.moves import PointwiseFirst, hoist_pointwise
from u3p_edge.rewriting.rules.winograd import Winograd


def interleaved(filters: int) -> Graph:
    """A head `head` over a map whose rows Winograd has joined."""
    graph = apply_rule(Winograd("rows"), plain((6, 8), filters=4, activation="relu"))
    return replace(graph, nodes=(*graph.nodes, conv("head", "y", drawn(5, 1, 1, 4, filters))), outputs=("head",))


def test_a_pointwise_convolution_goes_before_the_moves_behind_winograd() -> None:
    graph = interleaved(filters=2)
    other = hoist_pointwise(graph)
    shapes = other.shapes
    assert [shapes[node.name] for node in other.nodes if node.name.startswith("head")] == [
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
