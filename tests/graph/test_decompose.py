"""Layers in parts: the parts are those of the docstring, they compute the same, and what has no parts stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from u3p_edge.graph.decompose import decompose
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.reference import run

SHAPE = (4, 5, 3)
RNG = np.random.default_rng(0)


def single(op: str, attrs: Any = None, weights: Any = None, arity: int = 1) -> Graph:
    names = tuple(f"x{number}" for number in range(arity))
    images = tuple(Node(name, "input", (), {"shape": (None, *SHAPE)}) for name in names)
    return Graph((*images, Node("y", op, names, attrs or {}, weights or {})), names, ("y",))


def drawn(*shape: int) -> np.ndarray:
    return RNG.uniform(0.2, 2, shape).astype(np.float32)


PARTS: dict[str, tuple[Graph, list[str]]] = {
    "average of three": (single("average", arity=3), ["add", "add", "depthwise_conv"]),
    "sum of four": (single("add", arity=4), ["add", "add", "add"]),
    "rescaling": (single("rescale", {"scale": 0.3, "offset": -1.5}), ["depthwise_conv"]),
    "bounded ReLU": (single("relu", {"max_value": 0.7}), ["depthwise_conv", "relu", "depthwise_conv"]),
    "ReLU with a slope": (single("relu", {"negative_slope": 0.2}), ["leaky_relu"]),
    "hard sigmoid": (single("activation", {"function": "hard_sigmoid"}), ["depthwise_conv", "relu", "depthwise_conv"]),
    "swish": (single("activation", {"function": "swish"}), ["activation", "multiply"]),
    "PReLU": (
        single("prelu", {"shared_axes": (1, 2)}, {"alpha": drawn(1, 1, 3)}),
        ["relu", "depthwise_conv", "depthwise_conv", "add"],
    ),
    "convolution with tanh": (
        single("conv", {"activation": "tanh"}, {"kernel": drawn(1, 1, 3, 2)}), ["conv", "activation"],
    ),
    "dense layer with swish": (
        single("dense", {"activation": "swish"}, {"kernel": drawn(3, 2)}), ["dense", "activation", "multiply"],
    ),
    "layer normalisation": (
        single("layer_norm", {"epsilon": 1e-2}, {"gamma": drawn(3), "beta": drawn(3)}),
        ["conv", "subtract", "multiply", "conv", "rsqrt", "multiply", "depthwise_conv"],
    ),
    "group normalisation": (
        single("group_norm", {"groups": 1, "epsilon": 1e-2}, {"gamma": drawn(3), "beta": drawn(3)}),
        ["global_average_pool", "conv", "subtract", "multiply", "global_average_pool", "conv", "rsqrt", "multiply",
         "depthwise_conv"],
    ),
    "instance normalisation": (
        single("group_norm", {"groups": -1, "epsilon": 1e-2}, {"beta": drawn(3)}),
        ["global_average_pool", "subtract", "multiply", "global_average_pool", "depthwise_conv", "rsqrt", "multiply",
         "depthwise_conv"],
    ),
    "separable convolution with swish": (
        single("separable_conv", {"activation": "swish", "padding": "same"},
               {"depthwise": drawn(3, 3, 3, 2), "pointwise": drawn(1, 1, 6, 2) / 8, "bias": drawn(2)}),
        ["depthwise_conv", "conv", "activation", "multiply"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PARTS)
def test_the_parts_compute_the_same(name: str) -> None:
    graph, ops = PARTS[name]
    parts = decompose(graph)
    assert [node.op for node in parts.nodes if node.op != "input"] == ops
    assert (parts.inputs, parts.outputs) == (graph.inputs, graph.outputs)
    feeds = {image: RNG.normal(size=(2, *SHAPE)).astype(np.float32) for image in graph.inputs}
    expected, found = run(graph, feeds)["y"], run(parts, feeds)["y"]
    # A few products and sums of values below 8 in float32, a deviation of at least 0.1 behind a root.
    np.testing.assert_allclose(found, expected, rtol=0, atol=64 * 8 * 2**-24 / 0.1)
    assert np.unique(found).size > 8


@pytest.mark.parametrize(
    "graph",
    [
        single("add", arity=2),
        single("relu"),
        single("relu", {"max_value": 6.0}),
        single("relu", {"threshold": 1.0}),
        single("layer_norm", {"axis": (1,)}),
        single("prelu", {}, {"alpha": drawn(4, 5, 3)}),
        single("activation", {"function": "mish"}),
    ],
    ids=lambda graph: f"{graph.nodes[-1].op} {dict(graph.nodes[-1].attrs)}",
)
def test_what_needs_no_parts_or_has_none_stays(graph: Graph) -> None:
    assert decompose(graph) == graph
