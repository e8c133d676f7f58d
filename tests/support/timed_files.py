"""Model files of known relative cost, which need no training: the same network with more or fewer convolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.dummy_quantized import make_dummy_quantized

SIZE = 32
METADATA = default_metadata(Preprocessing(SIZE, SIZE, 1), labels=3)


def write_chain(folder: Path, convolutions: int, seed: int = 0) -> Path:
    """Write `folder`/model.int8.tflite: so many 3x3 convolutions to 16 channels over a 32x32 map, then a mask of 3 classes."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.int8.tflite"
    path.write_bytes(write_tflite(make_dummy_quantized(chain(convolutions, seed)), METADATA))
    return path


def chain(convolutions: int, seed: int = 0) -> Graph:
    """The network of `write_chain`, of float weights."""
    rng = np.random.default_rng(seed)
    nodes = [Node("image", "input", (), {"shape": (1, SIZE, SIZE, 1)})]
    for number in range(convolutions):
        kernel = rng.standard_normal((3, 3, 16 if number else 1, 16), np.float32) / 12
        attrs = {"padding": "same", "activation": "relu"}
        nodes.append(
            Node(f"conv{number}", "conv", (nodes[-1].name,), attrs, {"kernel": kernel, "bias": np.zeros(16, np.float32)})
        )
    nodes.append(Node("head", "conv", (nodes[-1].name,), {}, {"kernel": rng.standard_normal((1, 1, 16, 3), np.float32)}))
    nodes.append(Node("mask", "softmax", ("head",)))
    return Graph(tuple(nodes), ("image",), ("mask",))
