"""Turn a folded float graph and the ranges of its maps into the network in integers: the last step of PTQ and of QAT.

The numbers are those that TensorFlow's converter gives for the fake-quant model with the same ranges. Arithmetic is in float64,
and scales are rounded to float32 once, when they are stored; kernels are rounded as in training, in float32:

    activation   scale = (high - low) / 255; the zero point is the integer nearest to -128 - low / scale
    kernel       scale = bound / 127 for each output channel; integers -127..127, the nearest to kernel / scale
    bias         int32, the nearest to bias / (input scale * kernel scale)

Halves are rounded up in zero points and kernels, and away from zero in biases, as that converter does.

Operands of a concatenation have the concatenation's scale. One that has another scale, because other nodes read it too, is
requantized first by an `identity`. (Where poolings or resizes lead from a shared map to a concatenation, the converter
requantizes once before them, and what else reads the map there sees other steps than in training.) This module needs
NumPy alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.ir import KERAS, Graph, Node
from u3p_edge.graph.scheme import HIGHEST, LOWEST, Quantization, Quantized, Scheme
from u3p_edge.quantization.placement import (
    FIXED,
    Placement,
    joining_end,
    joins,
    passes_scale,
    place_quantizers,
    widen_logits,
)
from u3p_edge.quantization.ranges import Range

KERNEL_FLOOR = 1e-4
"""No channel's kernel range is narrower than this share of the layer's widest: a dead channel of range 0 has no scale, and
a tiny one lets its bias overflow int32."""

RANGE_FLOOR = 1e-3
"""No activation's range is narrower than this: a map that is zero on all calibration images still needs a scale."""

Steps = Mapping[str, Quantization]
"""The quantization of each map that is stored, by node, with scales in float64."""


def to_integers(graph: Graph, ranges: Mapping[str, Range]) -> Quantized:
    """Return the network in integers.

    Args:
        graph: float32, folded by `graph.fold`, one input and one output of probabilities.
        ranges: of the input and of every node that `placement.place_quantizers` gives a `RANGE`; a range of logits that is too
            narrow is widened, see `placement.widen_logits`.

    Raises:
        ModelError: as `place_quantizers` does, or a kernel or bias has no int8 form.
        KeyError: a range is missing.
    """
    steps = _steps(graph, ranges)
    graph, steps = _requantize(graph, steps)
    scales = {node.name: kernel_scales(node) for node in graph.nodes if "kernel" in node.weights}
    nodes = tuple(_in_integers(node, steps, scales.get(node.name)) for node in graph.nodes)
    tensors = {name: Quantization(float(np.float32(pair.scale)), pair.zero_point) for name, pair in steps.items()}
    kernels = {name: values.astype(np.float32) for name, values in scales.items()}
    return Quantized(replace(graph, nodes=nodes), Scheme(tensors, kernels))


def quantization_of(low: float, high: float) -> Quantization:
    """Return the quantization whose integers span a range, moved so that an integer represents zero exactly.

    Args:
        low, high: low <= 0 <= high; rounded to float32, as a fake-quant node holds them.
    """
    low, high = float(np.float32(low)), float(np.float32(max(high, low + RANGE_FLOOR)))
    scale = (high - low) / (HIGHEST - LOWEST)
    # Counted from 0: halves are rounded up.
    zero = np.floor(min(max(-low / scale, 0.0), float(HIGHEST - LOWEST)) + 0.5)
    return Quantization(scale, int(zero) + LOWEST)


def kernel_bounds(kernel: npt.NDArray[np.float32], axes: tuple[int, ...] = (0, 1, 2)) -> npt.NDArray[np.float32]:
    """Return the largest magnitude in each output channel of a kernel, but at least a floor: float32, flat.

    Args:
        kernel: HWIO, or [in, out].
        axes: those that are not output channels.
    """
    bounds: npt.NDArray[np.float32] = np.abs(kernel).max(axis=axes).ravel()
    floor = np.maximum(np.float32(KERNEL_FLOOR) * bounds.max(), np.float32(KERNEL_FLOOR / 10))
    return np.asarray(np.maximum(bounds, floor), np.float32)


def kernel_scales(node: Node) -> npt.NDArray[np.float64]:
    """Return the scale of each output channel of a node's kernel: float64 [O], the multiplier of a depthwise one fastest."""
    kernel = node.weights["kernel"]
    axes = (0, 1) if node.op == "depthwise_conv" else tuple(range(kernel.ndim - 1))
    return kernel_bounds(kernel, axes).astype(np.float64) / HIGHEST


def _steps(graph: Graph, ranges: Mapping[str, Range]) -> dict[str, Quantization]:
    placed = place_quantizers(graph)
    steps: dict[str, Quantization] = {}

    def resolve(name: str) -> Quantization:
        """Return the quantization of a node, which may be that of an input far before it or of a concatenation after it."""
        node = graph[name]
        if name not in steps:
            if node.op == "input" or placed.get(name) is Placement.RANGE:
                steps[name] = quantization_of(*widen_logits(graph, name, ranges[name]))
            elif name in placed:
                steps[name] = quantization_of(*FIXED[placed[name]])
            else:
                steps[name] = resolve(node.inputs[0] if passes_scale(node) else joining_end(graph, name))
        return steps[name]

    for node in graph.nodes:
        if node.name in placed or node.op == "input" or passes_scale(node) or joining_end(graph, node.name):
            resolve(node.name)
    return {node.name: steps[node.name] for node in graph.nodes if node.name in steps}


def _requantize(graph: Graph, steps: Steps) -> tuple[Graph, dict[str, Quantization]]:
    """Return the graph with an identity before every operand whose scale is not that of the node that joins it."""
    known, names, nodes = dict(steps), dict[tuple[str, Quantization], str](), list[Node]()
    for node in graph.nodes:
        if joins(node):
            for operand in dict.fromkeys(node.inputs):
                wanted = steps[node.name]
                if steps[operand] != wanted and (operand, wanted) not in names:
                    name = _free(f"{operand}_requantized", known)
                    nodes.append(Node(name, "identity", (operand,)))
                    names[operand, wanted], known[name] = name, wanted
            node = replace(node, inputs=tuple(names.get((x, steps[node.name]), x) for x in node.inputs))
        nodes.append(node)
    return replace(graph, nodes=tuple(nodes)), known


def _free(name: str, taken: Mapping[str, object]) -> str:
    return name if name not in taken else _free(f"{name}_", taken)


def _in_integers(node: Node, steps: Steps, scales: npt.NDArray[np.float64] | None) -> Node:
    node = replace(node, attrs={key: value for key, value in node.attrs.items() if key != KERAS})
    if scales is None:
        return node
    kernel = node.weights["kernel"]
    each = scales.reshape(kernel.shape[2:]) if node.op == "depthwise_conv" else scales
    weights: dict[str, npt.NDArray[np.integer]] = {"kernel": _round_kernel(kernel, (each * HIGHEST).astype(np.float32))}
    if "bias" in node.weights:
        bound = np.iinfo(np.int32)
        counts = node.weights["bias"].astype(np.float64) / (steps[node.inputs[0]].scale * scales)
        total = np.copysign(np.floor(np.abs(counts) + 0.5), counts)
        weights["bias"] = np.clip(total, bound.min, bound.max).astype(np.int32)
    return replace(node, weights=weights)


def _round_kernel(kernel: npt.NDArray[np.float32], bounds: npt.NDArray[np.float32]) -> npt.NDArray[np.int8]:
    """Return the integers nearest to 127 * kernel / bound, in the arithmetic of TensorFlow's fake quantization.

    It counts from the lowest integer on and rounds every step to float32. So a value within some 2^-16 of a half may become
    another integer than in exact arithmetic, and it is this one that training saw and the converter writes.
    """
    shifted = np.clip(kernel, -bounds, bounds) + bounds
    counts = np.floor(shifted * (np.float32(HIGHEST) / bounds) + np.float32(0.5))
    return np.asarray(counts - HIGHEST, np.int8)
