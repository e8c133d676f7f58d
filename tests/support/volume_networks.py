"""Networks whose masks of any scan are known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from u3p_edge.config.metadata import Axis, default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.graph.ir import Graph, Node

SIZE = (32, 32)

LEVEL = 0.3


def save_threshold(path: Path, axis: Axis | None = None) -> Path:
    """A binary float TFLite file that says 1 where a pixel of an image, padded or cut into tiles, is above `LEVEL` of white."""
    attrs = {"strides": (1, 1), "padding": "same", "dilation": (1, 1), "groups": 1, "activation": "linear"}
    weights = {"kernel": np.full((1, 1, 1, 1), 100, np.float32), "bias": np.array([-100 * LEVEL], np.float32)}
    nodes = (
        Node("image", "input", (), {"shape": (None, *SIZE, 1)}),
        Node("scores", "conv", ("image",), attrs, weights),
        Node("mask", "activation", ("scores",), {"function": "sigmoid"}),
    )
    metadata = default_metadata(Preprocessing(*SIZE, fit="pad", normalization="range"), labels=2)
    path.write_bytes(write_tflite(Graph(nodes, ("image",), ("mask",)), dataclasses.replace(metadata, axis=axis)))
    return path
