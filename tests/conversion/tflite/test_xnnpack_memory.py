"""What XNNPACK needs for a file: sums over their operands, copies for reshapes, kernels packed for every operator."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tflite_models import graph
from u3p_edge.conversion.tflite.writer import lower_graph
from u3p_edge.conversion.tflite.xnnpack_memory import OPERATOR, estimate_memory, estimate_workspace
from u3p_edge.graph.ir import Graph, Node

MAP = 16 * 8 * 4 * 4
"""Bytes of a float32 map of 16x8 and four channels."""


def conv(name: str, source: str, kernel: int = 1, channels: int = 4) -> Node:
    return Node(name, "conv", (source,), {"padding": "same"}, {"kernel": np.ones((kernel, kernel, channels, 4), np.float32)})


def of(*nodes: Node) -> Graph:
    return graph([*nodes], (16, 8, 4))


def test_the_ends_of_a_file_are_elsewhere_and_maps_take_turns() -> None:
    assert estimate_workspace(lower_graph(of(conv("y", "image")))) == 0
    assert estimate_workspace(lower_graph(of(conv("a", "image"), conv("y", "a")))) == MAP
    chain = [conv("a", "image"), conv("b", "a"), conv("c", "b"), conv("y", "c")]
    assert estimate_workspace(lower_graph(of(*chain))) == 2 * MAP


@pytest.mark.parametrize("op", ["add", "subtract"])
def test_a_sum_is_written_over_an_operand_that_nothing_else_reads(op: str) -> None:
    free = [conv("a", "image"), conv("b", "image"), Node("s", op, ("a", "b")), conv("y", "s")]
    assert estimate_workspace(lower_graph(of(*free))) == 2 * MAP
    # Both are read once more, so the sum stands beside them.
    read = [*free[:3], Node("t", op, ("s", "a")), Node("u", op, ("t", "b")), conv("y", "u")]
    assert estimate_workspace(lower_graph(of(*read))) == 3 * MAP


def test_a_product_is_not_and_a_reshape_is_a_copy() -> None:
    product = [conv("a", "image"), conv("b", "image"), Node("s", "multiply", ("a", "b")), conv("y", "s")]
    assert estimate_workspace(lower_graph(of(*product))) == 3 * MAP
    reshaped = [conv("a", "image"), Node("r", "reshape", ("a",), {"target_shape": (8, 16, 4)}), conv("y", "r")]
    assert estimate_workspace(lower_graph(of(*reshaped))) == 2 * MAP


def test_kernels_are_packed_and_addresses_kept_for_every_operator() -> None:
    one = lower_graph(of(conv("y", "image", kernel=3)))
    # 3x3 of 4 to 4 channels and four biases of float32; 8 bytes for each of nine taps at 16x8 places.
    assert estimate_memory(one) == 4 * (9 * 16 + 4) + 8 * 9 * 16 * 8 + OPERATOR
    same = conv("a", "image", kernel=3)
    twice = lower_graph(of(same, Node("y", "conv", ("a",), same.attrs, same.weights)))
    assert estimate_memory(twice) == MAP + 2 * estimate_memory(one)
