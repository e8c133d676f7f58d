"""Translate TFLite operators to ONNX: one function for each operator, and one table of them all. Those that only move values
are in `moves`.

A translator gives the operation on real values: its inputs are already dequantized, and its output is not yet quantized.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from onnx import helper

from u3p_edge.errors import ModelError
from u3p_edge.export.onnx.pieces import (
    TO_NCHW,
    Emission,
    channel_axis,
    constant,
    data_of,
    dequantize,
    operand,
    operands,
    stored,
    unsigned,
)
from u3p_edge.export.tflite.schema import Operator, TFLiteGraph

Translator = Callable[[TFLiteGraph, Operator, int, str], Emission]
_SAME = 0  # schema.Padding
_VECTORS = 2
"""Rank of a batch of vectors."""


def _convolution(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """Translate CONV_2D (weights OHWI) and DEPTHWISE_CONV_2D (weights 1HWO) to Conv (weights OIHW), with the int32 bias."""
    source, emission = operand(graph, op.inputs[0], index, 0)
    weights = graph.tensors[op.inputs[1]]
    depthwise = op.code == "DEPTHWISE_CONV_2D"
    kernel = data_of(weights).transpose((3, 0, 1, 2) if depthwise else TO_NCHW)
    emission += Emission(constants=(constant(f"w{index}_q", kernel),))
    emission += dequantize(weights, f"w{index}_q", f"w{index}", axis=0)
    names = [source, f"w{index}"]
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        bias = graph.tensors[op.inputs[2]]
        emission += Emission(constants=(constant(f"b{index}_q", data_of(bias)),))
        emission += dequantize(bias, f"b{index}_q", f"b{index}", axis=0)
        names = [*names, f"b{index}"]
    size = tuple(int(n) for n in kernel.shape[2:])
    dilations = [int(op.options["dilationHFactor"]), int(op.options["dilationWFactor"])]
    spans = [(k - 1) * d + 1 for k, d in zip(size, dilations, strict=True)]
    node = helper.make_node(
        "Conv", names, [target], kernel_shape=list(size), strides=_strides(op), dilations=dilations,
        pads=_pads(op, graph.tensors[op.inputs[0]].shape, spans),
        group=graph.tensors[op.inputs[0]].shape[3] // kernel.shape[1],
    )  # fmt: skip
    return emission + Emission((node,))


def _dense(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """Translate FULLY_CONNECTED (weights [outputs, inputs]) of vectors to Gemm, with the int32 bias."""
    if len(graph.tensors[op.inputs[0]].shape) != _VECTORS or len(graph.tensors[op.outputs[0]].shape) != _VECTORS:
        raise ModelError("a dense layer over a map has no int8 ONNX form here", mend="Use a 1x1 convolution instead.")
    source, emission = operand(graph, op.inputs[0], index, 0)
    names = [source]
    for letter, tensor in zip("wb", op.inputs[1:], strict=False):
        if tensor >= 0:
            held = graph.tensors[tensor]
            emission += Emission(constants=(constant(f"{letter}{index}_q", data_of(held)),))
            emission += dequantize(held, f"{letter}{index}_q", f"{letter}{index}", axis=0)
            names = [*names, f"{letter}{index}"]
    return emission + Emission((helper.make_node("Gemm", names, [target], transB=1),))


def _strides(op: Operator) -> list[int]:
    return [int(op.options["strideH"]), int(op.options["strideW"])]


def _pads(op: Operator, shape: Sequence[int], spans: Sequence[int]) -> list[int]:
    """Return the padding in ONNX order: top, left, bottom, right. TensorFlow's SAME puts the odd pixel below and right."""
    if int(op.options["padding"]) != _SAME:
        return [0, 0, 0, 0]
    totals = [
        max((-(-size // stride) - 1) * stride + span - size, 0)
        for size, stride, span in zip(shape[1:3], _strides(op), spans, strict=True)
    ]
    return [total // 2 for total in totals] + [total - total // 2 for total in totals]


def _pool(kind: str) -> Translator:
    def translate(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
        source, emission = operand(graph, op.inputs[0], index, 0)
        size = [int(op.options["filterHeight"]), int(op.options["filterWidth"])]
        pads = _pads(op, graph.tensors[op.inputs[0]].shape, size)
        return emission + Emission(
            (helper.make_node(kind, [source], [target], kernel_shape=size, strides=_strides(op), pads=pads),)
        )

    return translate


def resize_node(graph: TFLiteGraph, op: Operator, index: int, source: str, target: str) -> Emission:
    """Resize the map `source` to the larger grid of an operator's output.

    Bilinear uses half-pixel centres. Nearest is by an integer factor, where floor on the asymmetric grid picks the same pixels
    as TensorFlow.
    """
    linear = op.code == "RESIZE_BILINEAR"
    if op.options.get("alignCorners") or (linear and not op.options.get("halfPixelCenters")):
        raise ModelError(f"{op.code} without half-pixel centres has no ONNX form here")
    before, after = graph.tensors[op.inputs[0]].shape, graph.tensors[op.outputs[0]].shape
    factors = np.asarray([1.0, 1.0, after[1] / before[1], after[2] / before[2]], np.float32)
    grid = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"} if linear else {
        "mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"
    }  # fmt: skip
    node = helper.make_node("Resize", [source, "", f"s{index}"], [target], **grid)
    return Emission((node,), (constant(f"s{index}", factors),))


def _resize(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    source, emission = operand(graph, op.inputs[0], index, 0)
    return emission + resize_node(graph, op, index, source, target)


def _plain(kind: str) -> Translator:
    """Translate an operator that means the same in both formats, element by element with broadcasting."""

    def translate(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
        names, emission = operands(graph, op, index)
        return emission + Emission((helper.make_node(kind, names, [target]),))

    return translate


def _subtraction(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """Write a - b as a + (-b), where -b has the integers of b and its negative scale. The values are exactly the same.

    ONNX Runtime has an integer kernel for the sum but none for the difference, which it computes in floats (5 times as long).
    """
    minuend, subtrahend = (graph.tensors[tensor] for tensor in op.inputs)
    if subtrahend.data is not None or not subtrahend.scale.size or len(subtrahend.shape) != len(minuend.shape):
        return _plain("Sub")(graph, op, index, target)
    source, emission = operand(graph, op.inputs[0], index, 0)
    negative = dataclasses.replace(unsigned(subtrahend), scale=-subtrahend.scale)
    emission += dequantize(negative, stored(op.inputs[1]), f"{target}_minus")
    return emission + Emission((helper.make_node("Add", [source, f"{target}_minus"], [target]),))


def _concatenation(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """Translate a CONCATENATION of maps with several scales; maps with one scale are concatenated as integers (`moves`)."""
    names, emission = operands(graph, op, index)
    axis = channel_axis(int(op.options["axis"]), len(graph.tensors[op.outputs[0]].shape))
    return emission + Emission((helper.make_node("Concat", names, [target], axis=axis),))


def _softmax(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    source, emission = operand(graph, op.inputs[0], index, 0)
    axis = channel_axis(-1, len(graph.tensors[op.inputs[0]].shape))
    return emission + Emission((helper.make_node("Softmax", [source], [target], axis=axis),))


def _reduce(kind: str) -> Translator:
    def translate(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
        source, emission = operand(graph, op.inputs[0], index, 0)
        rank = len(graph.tensors[op.inputs[0]].shape)
        axes = sorted(channel_axis(int(a), rank) for a in np.ravel(data_of(graph.tensors[op.inputs[1]])))
        keep = int(bool(op.options["keepDims"]))
        if rank == 4 and not keep and 1 not in axes and not {2, 3} <= set(axes):  # the axes left would be in another order
            raise ModelError(f"{op.code} over the axes {axes} of a map has no ONNX form here")
        return emission + Emission((helper.make_node(kind, [source], [target], axes=axes, keepdims=keep),))

    return translate


def _leaky_relu(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    source, emission = operand(graph, op.inputs[0], index, 0)
    return emission + Emission((helper.make_node("LeakyRelu", [source], [target], alpha=float(op.options["alpha"])),))


def _squared_difference(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    names, emission = operands(graph, op, index)
    difference = helper.make_node("Sub", names, [f"{target}_difference"])
    return emission + Emission((difference, helper.make_node("Mul", [f"{target}_difference"] * 2, [target])))


def _reciprocal_root(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    source, emission = operand(graph, op.inputs[0], index, 0)
    root = helper.make_node("Sqrt", [source], [f"{target}_root"])
    return emission + Emission((root, helper.make_node("Reciprocal", [f"{target}_root"], [target])))


OPERATORS: Mapping[str, Translator] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "MAX_POOL_2D": _pool("MaxPool"),
    "AVERAGE_POOL_2D": _pool("AveragePool"),
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "CONCATENATION": _concatenation,
    "SOFTMAX": _softmax,
    "LOGISTIC": _plain("Sigmoid"),
    "TANH": _plain("Tanh"),
    "EXP": _plain("Exp"),
    "ABS": _plain("Abs"),
    "LOG": _plain("Log"),
    "DIV": _plain("Div"),
    "FULLY_CONNECTED": _dense,
    "MAXIMUM": _plain("Max"),
    "MINIMUM": _plain("Min"),
    "LEAKY_RELU": _leaky_relu,
    "RELU": _plain("Relu"),
    "ADD": _plain("Add"),
    "SUB": _subtraction,
    "MUL": _plain("Mul"),
    "QUANTIZE": _plain("Identity"),
    "DEQUANTIZE": _plain("Identity"),
    "REDUCE_MAX": _reduce("ReduceMax"),
    "MEAN": _reduce("ReduceMean"),
    "SQUARED_DIFFERENCE": _squared_difference,
    "RSQRT": _reciprocal_root,
}
