"""A table whose every figure is known, and a small network that it tells."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.table.layers import TimedLayer
from u3p_edge.latency.table.table import Correction, Device, LatencyTable, LayerTimes, Steps

DEVICE = Device("Linux aarch64", "Cortex-A76", 4, "tflite", "2.3.0", 1, "int8")
COARSE, FINE = "conv 4x4 kernel=3x3 padding=same", "conv 8x8 kernel=3x3 padding=same"


def kernel(*shape: int) -> dict[str, np.ndarray]:
    return {"kernel": np.ones(shape, np.float32), "bias": np.zeros(shape[-1], np.float32)}


def two_scales(width: int = 16, image: int = 1) -> Graph:
    """A convolution at 8x8, one at 4x4 behind a pooling, both joined and convolved to one channel."""
    same = {"padding": "same"}
    nodes = (
        Node("image", "input", (), {"shape": (None, 8, 8, image)}),
        Node("fine", "conv", ("image",), {**same, "activation": "relu"}, kernel(3, 3, image, width)),
        Node("down", "max_pool", ("fine",)),
        Node("coarse", "conv", ("down",), same, kernel(3, 3, width, 2 * width)),
        Node("relu", "activation", ("coarse",), {"function": "relu"}),
        Node("up", "upsample", ("relu",), {"interpolation": "bilinear"}),
        Node("both", "concat", ("fine", "up")),
        Node("logits", "conv", ("both",), {}, kernel(1, 1, 3 * width, 1)),
        Node("mask", "activation", ("logits",), {"function": "sigmoid"}),
    )
    return Graph(nodes, ("image",), ("mask",))


def every_kind() -> Graph:
    """Layers of one and two axes, of one and more operands, with and without attributes of their own; a move."""
    same = {"padding": "same"}
    nodes = (
        Node("image", "input", (), {"shape": (None, 8, 8, 4)}),
        Node("wide", "conv", ("image",), {**same, "strides": (2, 2), "activation": "relu"}, kernel(3, 3, 4, 12)),
        Node("groups", "conv", ("wide",), {**same, "groups": 2}, kernel(3, 3, 6, 12)),
        Node("each", "depthwise_conv", ("groups",), same, {"kernel": np.ones((3, 3, 12, 1), np.float32)}),
        Node("sum", "add", ("each", "wide")),
        Node("relu", "relu", ("sum",)),
        Node("back", "conv_transpose", ("relu",), {**same, "strides": (2, 2)}, kernel(2, 2, 12, 6)),
        Node("moved", "pad", ("back",), {"padding": ((1, 0), (0, 0))}),
        Node("cut", "crop", ("moved",), {"cropping": ((0, 1), (0, 0))}),
        Node("tall", "concat", ("cut", "moved"), {"axis": 1}),
        Node("top", "crop", ("tall",), {"cropping": ((0, 9), (0, 0))}),
        Node("joined", "concat", ("top", "image", "top")),
        Node("most", "global_max_pool", ("joined",), {"keepdims": True}),
        Node("gate", "conv", ("most",), {}, kernel(1, 1, 16, 1)),
        Node("gated", "multiply", ("joined", "gate")),
        Node("view", "reshape", ("gated",), {"target_shape": (4, 16, 16)}),
        Node("mask", "conv", ("view",), {}, kernel(1, 1, 16, 2)),
    )
    return Graph(nodes, ("image",), ("mask",))


def times(key: str, inputs: Sequence[int], outputs: Sequence[int], each: float = 0.001) -> LayerTimes:
    """A layer of one axis takes `each` ms a channel; of two, that for every pair, and 10 times that for every channel in."""
    pairs = product(inputs, outputs)
    return LayerTimes(key, tuple((i, o, each * (i if o == 0 else i * o + 10 * i)) for i, o in pairs))


PLAIN, STEPS = Correction(), Steps(1, 16)


def made_up(correction: Correction = PLAIN, steps: Steps = STEPS) -> LatencyTable:
    """Of `two_scales(16)` and all that are narrower."""
    layers = (
        times(FINE, (1, 8), (8, 16)),
        times("max_pool 8x8", (8, 16), (0,)),
        times(COARSE, (8, 16), (8, 16, 32)),
        times("upsample 4x4 interpolation=bilinear", (8, 16, 32), (0,)),
        times("concat 8x8", (8, 48), (0,)),
        times("conv 8x8 kernel=1x1", (8, 16, 32, 48), (1,)),
        times("activation 8x8 function=sigmoid", (1,), (0,)),
    )
    return LatencyTable(DEVICE, steps, layers, correction)


def layer(key: str, inputs: int, outputs: int = 0) -> TimedLayer:
    return TimedLayer("node", key, inputs, outputs)
