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
