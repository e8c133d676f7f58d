"""A dummy quantized network made from a float graph, to measure int8 latency before anything is quantized.

Kernels are random int8. Every tensor has the same scale and zero point, except where TFLite's kernels fix them. The time of
integer arithmetic does not depend on its values, so the milliseconds are those of the real quantized network. Its results are
meaningless.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from u3p_edge.export.tflite.pieces import context
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import SAME_SCALE
from u3p_edge.graph.scheme import Quantization, Quantized, Scheme, out_channels

PLAIN = Quantization(0.05, 0)
"""Scale and zero point of every tensor except those that TFLite's kernels fix."""

KERNEL_SCALE = 0.01

_FIXED: Mapping[str, Quantization] = {
    "sigmoid": Quantization(1 / 256, -128),
    "softmax": Quantization(1 / 256, -128),
    "tanh": Quantization(1 / 128, 0),
}
"""Scale and zero point that TFLite's int8 kernels require for the result of a function."""

_KEEPS = SAME_SCALE | {"concat", "flatten"}


def make_dummy_quantized(graph: Graph) -> Quantized:
    """Return the graph with dummy integers. Raises ModelError as `shapes` does, or for weights that have no int8 form."""
    fused = context(graph, None).fused
    tensors: dict[str, Quantization] = {}
    for node in graph.nodes:
        tensors[node.name] = tensors[node.inputs[0]] if node.op in _KEEPS else _FIXED.get(_function(node), PLAIN)
    drawn = _kernels(graph)
    scales = {n.name: np.full(out_channels(n), KERNEL_SCALE, np.float32) for n in graph.nodes if "kernel" in n.weights}
    nodes = tuple(replace(node, weights=_integers(node, drawn)) for node in graph.nodes)
    kept = {name: pair for name, pair in tensors.items() if name not in fused}
    return Quantized(replace(graph, nodes=nodes), Scheme(kept, scales))


def _function(node: Node) -> str:
    return node.op if node.op == "softmax" else str(node.attrs.get("function", ""))


def _kernels(graph: Graph) -> Mapping[int, npt.NDArray[np.int8]]:
    """Return random integers for every kernel, by its `id`: nodes that share a kernel, as spatial tiles do, share them too."""
    rng = np.random.default_rng(0)
    kernels = {id(node.weights["kernel"]): node.weights["kernel"].shape for node in graph.nodes if "kernel" in node.weights}
    drawn = {key: rng.integers(-127, 128, shape, np.int8) for key, shape in kernels.items()}
    for array in drawn.values():
        array.flags.writeable = False  # otherwise every node would keep its own copy
    return drawn


def _integers(node: Node, drawn: Mapping[int, npt.NDArray[np.int8]]) -> dict[str, npt.NDArray[np.integer]]:
    """Return the drawn integers for the kernel and zeros for the bias; `Quantized` refuses other weights, left unchanged."""
    made: dict[str, npt.NDArray[np.integer]] = dict(node.weights)
    if "kernel" in made:
        made["kernel"] = drawn[id(node.weights["kernel"])]
        if "bias" in made:
            made["bias"] = np.zeros(made["bias"].shape, np.int32)
    return made
