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

from u3p_edge.conversion.tflite.pieces import make_context
from u3p_edge.graph.activation import function
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import FUNCTIONS
from u3p_edge.graph.scheme import Quantization, Quantized, Scheme, out_channels

PLAIN = Quantization(0.05, 0)
"""Scale and zero point of every tensor except those that TFLite's kernels fix."""

POSITIVE = Quantization(0.05, -128)
"""That of a tensor whose reciprocal root is taken: the kernel refuses integers below the zero point."""

KERNEL_SCALE = 0.01


def make_dummy_quantized(graph: Graph) -> Quantized:
    """Return the graph with dummy integers. Raises ModelError as `shapes` does, or for weights that have no int8 form."""
    fused = make_context(graph, None).fused
    roots = {name for node in graph.nodes if node.op == "rsqrt" for name in node.inputs}
    tensors: dict[str, Quantization] = {}
    for node in graph.nodes:
        scale = POSITIVE if node.name in roots else _fixed_scale(node)
        tensors[node.name] = tensors[node.inputs[0]] if node.kind.keeps_scale else scale
    drawn = _kernels(graph)
    scales = {n.name: np.full(out_channels(n), KERNEL_SCALE, np.float32) for n in graph.nodes if "kernel" in n.weights}
    nodes = tuple(replace(node, weights=_integers(node, drawn)) for node in graph.nodes)
    kept = {name: pair for name, pair in tensors.items() if name not in fused}
    return Quantized(replace(graph, nodes=nodes), Scheme(kept, scales))


def _fixed_scale(node: Node) -> Quantization:
    fixed = FUNCTIONS[function(node)].fixed
    return PLAIN if fixed is None else Quantization(*fixed)


def _kernels(graph: Graph) -> Mapping[int, npt.NDArray[np.int8]]:
    """Return random integers for every kernel, by its `id`: nodes that share a kernel, as spatial tiles do, share them too."""
    rng = np.random.default_rng(0)
    kernels = {id(node.weights["kernel"]): node.weights["kernel"].shape for node in graph.nodes if "kernel" in node.weights}
    drawn = {key: rng.integers(-127, 128, shape, np.int8) for key, shape in kernels.items()}
    for array in drawn.values():
        array.flags.writeable = False  # otherwise every node would keep a copy of it
    return drawn


def _integers(node: Node, drawn: Mapping[int, npt.NDArray[np.int8]]) -> dict[str, npt.NDArray[np.integer]]:
    """Return the drawn integers for the kernel and zeros for the bias; `Quantized` refuses other weights, left unchanged."""
    made: dict[str, npt.NDArray[np.integer]] = dict(node.weights)
    if "kernel" in made:
        made["kernel"] = drawn[id(node.weights["kernel"])]
        if "bias" in made:
            made["bias"] = np.zeros(made["bias"].shape, np.int32)
    return made
