"""One interpolation for all taps of a kernel: structure, exactness, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.rewrite_sites import upsampled
from tests.support.rule_checks import apply_rule, deviation, in_eighths, refusal, tolerance
from u3p_edge.rewriting.rules.one_interpolation import OneInterpolation
from u3p_edge.rewriting.rules.separable import Separable


@pytest.mark.parametrize("factor", [2, 4, 8, 16])
@pytest.mark.parametrize("width", [2, 3, 5])
def test_one_interpolation_is_exact_at_every_even_scale_and_at_both_ends(factor: int, width: int) -> None:
    graph = in_eighths(upsampled((3, width), channels=2, factor=(2, factor), activation="linear"))
    other = apply_rule(OneInterpolation(), graph)
    shapes = other.shapes
    assert sum(node.op == "add" and node.name.startswith("y_taps") for node in other.nodes) == 0, "the taps are not summed"
    kernel, filters = graph["y"].weights["kernel"], shapes["y"][3]
    np.testing.assert_array_equal(other["y_tap1"].weights["kernel"][0, 0, :, filters:-filters], kernel[1].sum(axis=0))
    assert sum(node.op == "upsample" and shapes[node.name][2] == width * factor for node in other.nodes) == 1
    assert deviation(graph, other, np.float64) < 100 * np.finfo(np.float64).eps


def test_a_kernel_of_one_row_has_nothing_to_join() -> None:
    graph = upsampled((4, 6), channels=8, filters=2, factor=(1, 4))
    flat = replace(graph["y"], weights={**graph["y"].weights, "kernel": graph["y"].weights["kernel"][1:2]})
    graph = replace(graph, nodes=(*graph.nodes[:-1], flat))
    other = apply_rule(Separable(), graph)
    assert [node.name for node in other.nodes if node.op in ("conv", "concat")] == ["y_taps"]
    assert deviation(graph, other, np.float32) <= tolerance(graph)


def test_one_interpolation_refuses_what_it_does_not_hold_for() -> None:
    rule = OneInterpolation()
    assert "even factor" in refusal(rule, upsampled(factor=(2, 3)))
    assert "even factor" in refusal(rule, upsampled(interpolation="nearest"))
    assert "not 3" in refusal(rule, upsampled(kernel=5))
    assert "one column" in refusal(rule, upsampled((4, 1)))
