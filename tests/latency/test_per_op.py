"""Every operator of a network gets its time and its floor."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.timed_graphs import convolution, every_end, twins
from u3p_edge.conversion.tflite import schema
from u3p_edge.conversion.tflite.writer import lower_graph, write_tflite
from u3p_edge.errors import ModelError
from u3p_edge.graph.cost import cost
from u3p_edge.graph.decompose import decompose
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency import per_op as module
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.latency.per_op import profile_operators


@pytest.fixture(autouse=True)
def one_small_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peak of a small convolution is found sooner; nothing here looks at how high it is."""
    monkeypatch.setattr(module, "PEAK_LAYERS", ((1, 64, 16),))


@pytest.mark.parametrize("integers", [True, False])
def test_rows_are_the_operators_in_order(integers: bool) -> None:
    graph = every_end()
    profile = profile_operators(lower_graph(make_dummy_quantized(graph) if integers else graph))
    # The addition and its ReLU are one operator under the ReLU's name; moving by a row pads what is left.
    assert [(row.node, row.op) for row in profile.rows] == [
        ("relu", "ADD"),
        ("cut", "STRIDED_SLICE"),
        ("moved", "PAD"),
        ("tall", "CONCATENATION"),
        ("logits", "CONV_2D"),
        ("softmax", "SOFTMAX"),
        ("up", "RESIZE_BILINEAR"),
    ]
    assert all(row.ms > 0 for row in profile.rows)
    assert profile.whole_ms > 0
    assert {row.node: row.macs for row in profile.rows if row.macs} == dict(cost(graph).macs)
    assert profile.rows[-1].shape == (1, 32, 16, 3)


def test_a_root_of_dummy_integers_runs() -> None:
    """TFLite's reciprocal root refuses what is below zero, which random integers with another zero point would be."""
    weights = {"gamma": np.ones(4, np.float32), "beta": np.zeros(4, np.float32)}
    image = Node("x", "input", (), {"shape": (None, 8, 8, 4)})
    norm = Node("y", "layer_norm", ("x",), {"axis": (-1,), "epsilon": 1e-3}, weights)
    parts = decompose(Graph((image, norm), ("x",), ("y",)))
    assert "RSQRT" in {row.op for row in profile_operators(lower_graph(make_dummy_quantized(parts))).rows}


def test_the_floor_is_the_arithmetic_at_the_peak() -> None:
    profile = profile_operators(lower_graph(convolution(16)))
    (row,) = profile.rows
    assert row.macs == 9 * 16 * 16 * 32 * 32
    assert row.floor_ms == pytest.approx(row.macs / profile.peak * 1e3)


def test_operators_that_differ_in_weights_alone_are_timed_once() -> None:
    steps: list[int] = []

    def progress(_stage: str, count: int) -> object:
        return lambda: steps.append(count)

    first, second, third = profile_operators(lower_graph(twins()), progress=progress).rows  # type: ignore[arg-type]
    assert first.ms == second.ms
    assert third.shape == (1, 6, 6, 4)
    # The peak, the whole network, and two distinct operators.
    assert steps == [4] * 4


def test_a_file_gives_what_its_graph_gives() -> None:
    made = make_dummy_quantized(every_end())
    file = schema.parse_tflite(write_tflite(made))
    actual, expected = profile_operators(file).rows, profile_operators(lower_graph(made)).rows
    assert [(row.node, row.op, row.shape, row.macs) for row in actual] == [
        (row.node, row.op, row.shape, row.macs) for row in expected
    ]


def test_transposed_and_depthwise_convolutions_and_dense_layers_are_counted() -> None:
    def weights(*shape: int) -> dict[str, np.ndarray]:
        return {"kernel": np.ones(shape, np.float32)}

    nodes = (
        Node("x", "input", (), {"shape": (None, 4, 4, 2)}),
        Node("up", "conv_transpose", ("x",), {"strides": (2, 2), "padding": "same"}, weights(2, 2, 2, 3)),
        Node("each", "depthwise_conv", ("up",), {"padding": "same"}, weights(3, 3, 3, 1)),
        Node("flat", "flatten", ("each",)),
        Node("all", "dense", ("flat",), {}, weights(8 * 8 * 3, 5)),
    )
    graph = Graph(nodes, ("x",), ("all",))
    assert {row.node: row.macs for row in profile_operators(lower_graph(graph)).rows if row.macs} == dict(cost(graph).macs)


def test_half_floats_are_refused() -> None:
    file = schema.parse_tflite(write_tflite(convolution(4)))
    half = [t if t.data is None else t.__class__(**{**vars(t), "dtype": np.dtype(np.float16)}) for t in file.tensors]
    with pytest.raises(ModelError, match="float16"):
        profile_operators(schema.TFLiteGraph(tuple(half), file.operators, file.inputs, file.outputs))
