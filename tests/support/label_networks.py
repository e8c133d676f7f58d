"""Small networks of random weights with every ending that an exported file may have, in numbers of both types."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from u3p_edge.config.metadata import Metadata, OutputKind, metadata_of_mask
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.onnx.writer import write_onnx
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.graph import reference
from u3p_edge.graph.inference import is_multi_label
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.scheme import Quantized
from u3p_edge.quantization.integers import to_integers
from u3p_edge.runtime import Session, open_session

SIDE = 16
OUTPUTS: tuple[OutputKind, ...] = ("probabilities", "logits", "labels")


def random_network(channels: int, size: float, seed: int, activation: str = "") -> Graph:
    """Two convolutions from an image [1, 16, 16, 1] to a mask of so many channels; `size` is about that of its logits."""
    activation = activation or ("sigmoid" if channels == 1 else "softmax")
    rng = np.random.default_rng(seed)

    def conv(name: str, source: str, before: int, after: int, activation: str, scale: float) -> Node:
        kernel = scale * rng.standard_normal((3, 3, before, after), np.float32) / np.sqrt(9 * before)
        weights = {"kernel": kernel.astype(np.float32), "bias": (scale * rng.standard_normal(after) / 4).astype(np.float32)}
        attrs = {"strides": (1, 1), "padding": "same", "dilation": (1, 1), "groups": 1, "activation": activation}
        return Node(name, "conv", (source,), attrs, weights)

    nodes = (
        Node("image", "input", (), {"shape": (None, SIDE, SIDE, 1)}),
        conv("features", "image", 1, 8, "relu", 1.0),
        conv("scores", "features", 8, channels, "linear", size),
        Node("mask", "activation", ("scores",), {"function": activation}),
    )
    return Graph(nodes, ("image",), ("mask",), "random")


def random_images(count: int, seed: int = 0) -> np.ndarray:
    """Noise float32 [N, 16, 16, 1]."""
    return np.random.default_rng(seed).standard_normal((count, SIDE, SIDE, 1), np.float32)


def in_integers(graph: Graph) -> Quantized:
    """The network in integers, with the extremes on four images as its ranges."""
    values = reference.run(graph, {"image": random_images(4)}, ("image", "features", "scores"))
    return to_integers(graph, {name: (min(float(v.min()), 0.0), max(float(v.max()), 0.0)) for name, v in values.items()})


def metadata_of(graph: Graph | Quantized, output: OutputKind, fit: str = "resize") -> Metadata:
    """Metadata of a network for images of its size."""
    network = graph.graph if isinstance(graph, Quantized) else graph
    channels = network.shapes[network.outputs[0]][-1]
    preprocessing = Preprocessing(SIDE, SIDE, fit=fit, normalization="none")  # type: ignore[arg-type]
    return dataclasses.replace(metadata_of_mask(preprocessing, channels, is_multi_label(network)), output=output)


def open_outputs(network: Graph | Quantized, folder: Path, container: str, **options: str) -> dict[OutputKind, Session]:
    """The sessions of a network's files, one for each kind of output."""
    write = {"tflite": write_tflite, "onnx": write_onnx}[container]
    sessions = {}
    for output in OUTPUTS:
        path = folder / f"{output}.{container}"
        path.write_bytes(write(network, metadata_of(network, output, **options)))
        sessions[output] = open_session(path)
    return sessions
