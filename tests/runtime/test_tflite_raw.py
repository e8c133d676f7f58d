"""Which operators XNNPACK takes, as LiteRT itself says it."""

from __future__ import annotations

import numpy as np
import pytest

from u3p_edge.conversion.tflite import schema
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.runtime.tflite_raw import find_slow_operators, open_raw


def lone_relu() -> Graph:
    """A ReLU behind a resize, where nothing can fuse it, between two convolutions."""
    kernel = np.ones((3, 3, 4, 4), np.float32)
    nodes = (
        Node("x", "input", (), {"shape": (None, 8, 8, 4)}),
        Node("before", "conv", ("x",), {"padding": "same"}, {"kernel": kernel}),
        Node("up", "upsample", ("before",), {"interpolation": "bilinear"}),
        Node("relu", "activation", ("up",), {"function": "relu"}),
        Node("after", "conv", ("relu",), {"padding": "same"}, {"kernel": kernel}),
    )
    return Graph(nodes, ("x",), ("after",))


def slow(data: bytes) -> list[str]:
    operators = schema.parse_tflite(data).operators
    return [operators[index].code for index in find_slow_operators(data)]


def test_a_lone_relu_is_left_behind_in_int8_alone() -> None:
    made = make_dummy_quantized(lone_relu())
    assert slow(write_tflite(made)) == ["RELU"]
    assert slow(write_tflite(lone_relu())) == []


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ModelError, match="LiteRT cannot run"):
        open_raw(b"nothing of the kind")
