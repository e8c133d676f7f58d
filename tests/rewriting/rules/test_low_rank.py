"""Convolutions of few singular values: structure, exactness at full rank, error below it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.rewrite_sites import plain, upsampled
from tests.support.rule_checks import apply_rule, deviation, tolerance
from u3p_edge.rewriting.rules.low_rank import LowRank


def test_low_rank_upsamples_fewer_channels_and_is_exact_at_full_rank() -> None:
    graph = upsampled((3, 3), channels=40, filters=2)
    other = apply_rule(LowRank(), graph)
    shapes = other.shapes
    assert [shapes[node.name][3] for node in other.nodes if node.op == "upsample"] == [18]  # 3 * 3 * 2 of 40
    assert deviation(graph, other, np.float32) <= tolerance(graph)


def test_low_rank_of_a_plain_convolution_with_few_filters() -> None:
    graph = plain((6, 8), channels=40, filters=1, activation="linear")
    other = apply_rule(LowRank(), graph)
    assert [node.weights["kernel"].shape for node in other.nodes if node.op == "conv"] == [(1, 1, 40, 9), (3, 3, 9, 1)]
    assert deviation(graph, other, np.float32) <= tolerance(graph)


def test_a_truncated_rank_is_off_by_what_its_energy_says() -> None:
    graph = upsampled((3, 3), channels=40, filters=2, bias=False, activation="linear")
    rule = LowRank(energy=0.9)
    assert not rule.exact
    other = apply_rule(rule, graph)
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
