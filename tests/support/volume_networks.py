"""Networks whose masks of any scan are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from u3p_edge.config.metadata import Axis, default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.graph.ir import Graph, Node

SIZE = (32, 32)

LEVEL = 0.3003
"""No weighted sum of 8-bit values lies near it: of weights in quarters, these are multiples of 1 / 1020 of white."""


def save_threshold(path: Path, axis: Axis | None = None, weights: Sequence[float] = (1.0,)) -> Path:
    """A binary float TFLite file that says 1 where the sum of a pixel's slices with these weights is above `LEVEL` of white.

    Images are padded or cut into tiles.
    """
    slices = len(weights)
    attrs = {"strides": (1, 1), "padding": "same", "dilation": (1, 1), "groups": 1, "activation": "linear"}
    kernel = 1000 * np.array(weights, np.float32).reshape(1, 1, slices, 1)
    nodes = (
        Node("image", "input", (), {"shape": (None, *SIZE, slices)}),
        Node("scores", "conv", ("image",), attrs, {"kernel": kernel, "bias": np.array([-1000 * LEVEL], np.float32)}),
        Node("mask", "activation", ("scores",), {"function": "sigmoid"}),
    )
    preprocessing = Preprocessing(*SIZE, slices, fit="pad", normalization="range", slices=slices)
    metadata = dataclasses.replace(default_metadata(preprocessing, labels=2), axis=axis)
    path.write_bytes(write_tflite(Graph(nodes, ("image",), ("mask",)), metadata))
    return path
