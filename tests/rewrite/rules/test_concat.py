"""A convolution of a concatenation as a sum, and back: structure, numbers, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.rewrite_sites import joined
from tests.support.rule_checks import apply_rule, deviation, refusal, tolerance
from u3p_edge.rewrite.rules import JoinSum, SplitConcat


@given(st.lists(st.integers(1, 4), min_size=2, max_size=5), st.sampled_from(["linear", "relu"]))
@settings(max_examples=20, deadline=None)
def test_a_sum_of_parts_keeps_the_function(widths: list[int], activation: str) -> None:
    graph = joined(tuple(widths), activation=activation)
    other = apply_rule(SplitConcat(), graph)
    assert deviation(graph, other, np.float32) <= tolerance(graph)
    assert [node.op for node in other.nodes].count("conv") == len(widths)
    assert "concat" not in [node.op for node in other.nodes]


def test_a_sum_of_two_parts_goes_back_to_one_convolution() -> None:
    split = apply_rule(SplitConcat(), joined((2, 3), activation="linear"))
    back = apply_rule(JoinSum(), split)
    assert [node.op for node in back.nodes] == ["input", "input", "concat", "conv"]
    assert deviation(split, back, np.float32) <= tolerance(back)


def test_sums_refuse_to_join_what_something_else_reads() -> None:
    split = apply_rule(SplitConcat(), joined((2, 3), activation="linear"))
    shared = replace(split, outputs=("y", "y_part0"))
    assert "something else" in refusal(JoinSum(), shared)
