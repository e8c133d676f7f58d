"""Integers in place of a scheme: of the right kinds, and shared where the floats are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.support.timed_graphs import twins
from u3p_edge.conversion.tflite import schema
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.dummy_quantized import PLAIN, make_dummy_quantized


def shared() -> Graph:
    """`twins` with the first kernel in the third convolution too, as tiles have it."""
    x, first, second, third = twins().nodes
    return replace(twins(), nodes=(x, first, second, replace(third, weights=first.weights)))


def test_nodes_that_share_a_kernel_share_its_integers() -> None:
    made = make_dummy_quantized(shared()).graph
    first, second, third = (made[name].weights["kernel"] for name in ("first", "second", "third"))
    assert first.dtype == second.dtype == np.int8
    assert third is first, "not a copy of it either"
    assert not np.array_equal(first, second)
    assert first.shape == (3, 3, 4, 4)


def test_a_shared_kernel_is_in_the_file_once() -> None:
    made = make_dummy_quantized(shared())
    file = schema.parse_tflite(write_tflite(made))
    kernels = [file.tensors[op.inputs[1]].data for op in file.operators]
    assert [kernel.shape for kernel in kernels if kernel is not None] == [(4, 3, 3, 4)] * 3
    assert len({kernel.tobytes() for kernel in kernels if kernel is not None}) == 2


def test_the_same_graph_gets_the_same_integers() -> None:
    assert make_dummy_quantized(shared()) == make_dummy_quantized(shared())


def test_what_moves_integers_keeps_their_scale() -> None:
    nodes = (
        Node("x", "input", (), {"shape": (None, 8, 8, 4)}),
        Node("gate", "activation", ("x",), {"function": "sigmoid"}),
        Node("blocks", "space_to_depth", ("gate",)),
        Node("cut", "crop", ("blocks",), {"cropping": ((0, 1), (0, 0)), "channels": (4, 8)}),
        Node("wide", "depth_to_space", ("cut",)),
        Node("sum", "add", ("wide", "wide")),
    )
    tensors = make_dummy_quantized(Graph(nodes, ("x",), ("sum",))).scheme.tensors
    assert tensors["x"] == tensors["sum"] == PLAIN != tensors["gate"]
    assert tensors["gate"] == tensors["blocks"] == tensors["cut"] == tensors["wide"]
