"""Small graphs that are timed, or whose keys say what would decide their times."""

from __future__ import annotations

from typing import Any

import numpy as np

from u3p_edge.graph.ir import Graph, Node, rename


def convolution(channels: int, size: int = 32) -> Graph:
    """One 3x3 convolution that keeps its channels, with a ReLU: 9 * channels**2 * size**2 multiply-accumulates."""
    kernel = np.random.default_rng(0).standard_normal((3, 3, channels, channels), np.float32)
    weights = {"kernel": kernel, "bias": np.ones(channels, np.float32)}
    conv = Node("y", "conv", ("x",), {"padding": "same", "activation": "relu"}, weights)
    return Graph((Node("x", "input", (), {"shape": (None, size, size, channels)}), conv), ("x",), ("y",))


def every_end() -> Graph:
    """Two inputs, a ReLU behind an addition, a concatenation along rows, a softmax below a resize."""
    kernel = np.ones((1, 1, 4, 3), np.float32)
    nodes = (
        Node("a", "input", (), {"shape": (None, 8, 8, 4)}),
        Node("b", "input", (), {"shape": (None, 8, 8, 4)}),
        Node("sum", "add", ("a", "b")),
        Node("relu", "activation", ("sum",), {"function": "relu"}),
        Node("cut", "crop", ("relu",), {"cropping": ((1, 0), (0, 0))}),
        Node("moved", "pad", ("cut",), {"padding": ((0, 1), (0, 0))}),
        Node("tall", "concat", ("moved", "a"), {"axis": 1}),
        Node("logits", "conv", ("tall",), {}, {"kernel": kernel}),
        Node("softmax", "softmax", ("logits",)),
        Node("up", "upsample", ("softmax",), {"size": (2, 2), "interpolation": "bilinear"}),
    )
    return Graph(nodes, ("a", "b"), ("up", "relu"))


def twins() -> Graph:
    """Two convolutions of one shape and other weights, one of another shape."""
    kernels = [np.random.default_rng(seed).standard_normal((3, 3, 4, 4), np.float32) for seed in (0, 1)]
    nodes = (
        Node("x", "input", (), {"shape": (None, 8, 8, 4)}),
        Node("first", "conv", ("x",), {"padding": "same"}, {"kernel": kernels[0]}),
        Node("second", "conv", ("first",), {"padding": "same"}, {"kernel": kernels[1]}),
        Node("third", "conv", ("second",), {"padding": "valid"}, {"kernel": kernels[0]}),
    )
    return Graph(nodes, ("x",), ("third",))


def conv_and_pool(channels: int = 4, size: int = 16, seed: int = 0, names: str = "", **attrs: Any) -> Graph:
    """A convolution and a pooling over a square map."""
    kernel = np.random.default_rng(seed).standard_normal((3, 3, 2, channels), np.float32)
    conv = Node("conv", "conv", ("image",), {"padding": "same", **attrs}, {"kernel": kernel})
    nodes = (Node("image", "input", (), {"shape": (None, size, size, 2)}), conv, Node("pool", "max_pool", ("conv",)))
    graph = Graph(nodes, ("image",), ("pool",))
    return rename(graph, {node.name: node.name + names for node in graph.nodes})
