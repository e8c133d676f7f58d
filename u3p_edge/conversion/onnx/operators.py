"""Translate TFLite operators to ONNX: one function for each operator, and one table of them all. Those that only move values
are in `moves`.

A translator gives the operation on real values: its inputs are already dequantized, and its output is not yet quantized. All
operands but kernels and biases are maps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from onnx import helper

from u3p_edge.conversion.onnx.pieces import (
    TO_NCHW,
    Emission,
    channel_axis,
    data_of,
    dequantize,
    real,
    stored,
    to_initializer,
    unsigned,
)
from u3p_edge.conversion.tflite.schema import Operator, TFLiteGraph
from u3p_edge.errors import ModelError
from u3p_edge.graph.ops import FUNCTIONS, OPS

Translator = Callable[[TFLiteGraph, Operator, int, str], Emission]
_SAME = 0  # schema.Padding
_VECTORS, _MAP = 2, 4
"""Ranks of a batch of vectors, and of maps."""

_Weights = tuple[list[str], Emission]


def _weights(
    graph: TFLiteGraph, op: Operator, index: int, positions: Sequence[int], order: Sequence[int], axis: int
) -> _Weights:
    """Return the names of the real kernel and bias, which are the inputs `positions` of an operator; the bias may be missing.

    Args:
        order: of the kernel's axes in ONNX.
        axis: of its output channels there.
    """
    names, emission = list[str](), Emission()
    for letter, position in zip("wb", positions, strict=True):
        if position >= len(op.inputs) or op.inputs[position] < 0:
            continue
        held, name = graph.tensors[op.inputs[position]], f"{letter}{index}"
        data = data_of(held).transpose(order) if letter == "w" else data_of(held)
        emission += Emission(constants=(to_initializer(f"{name}_q", data),))
        emission += dequantize(held, f"{name}_q", name, axis=axis if letter == "w" else 0)
        names.append(name)
    return names, emission


def _convolution(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """Translate CONV_2D (weights OHWI) and DEPTHWISE_CONV_2D (weights 1HWO) to Conv (weights OIHW), with the int32 bias."""
    order = (3, 0, 1, 2) if op.code == "DEPTHWISE_CONV_2D" else TO_NCHW
    names, emission = _weights(graph, op, index, (1, 2), order, 0)
    kernel = [graph.tensors[op.inputs[1]].shape[axis] for axis in order]
    source = graph.tensors[op.inputs[0]].shape
    dilations = [int(op.options["dilationHFactor"]), int(op.options["dilationWFactor"])]
    spans = [(k - 1) * d + 1 for k, d in zip(kernel[2:], dilations, strict=True)]
    node = helper.make_node(
        "Conv", [real(op.inputs[0]), *names], [target], kernel_shape=kernel[2:], strides=_strides(op), dilations=dilations,
        pads=_pads(op, source, spans), group=source[3] // kernel[1],
    )  # fmt: skip
    return emission + Emission((node,))


def _transposed_convolution(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """Translate TRANSPOSE_CONV (output shape, weights OHWI, map, bias) to ConvTranspose (weights IOHW), with the int32 bias."""
    names, emission = _weights(graph, op, index, (1, 3), (3, 0, 1, 2), 1)
    kernel, before, after = (graph.tensors[i].shape for i in (op.inputs[1], op.inputs[2], op.outputs[0]))
    # Of the whole result, (n - 1) * stride + k long, SAME leaves out what is too much, the odd pixel below and right.
    axes = zip(before[1:3], after[1:3], _strides(op), kernel[1:3], strict=True)
    surplus = [(n - 1) * stride + k - size for n, size, stride, k in axes]
    pads = [max(0, s) // 2 for s in surplus] + [max(0, s) - max(0, s) // 2 for s in surplus]
    node = helper.make_node(
        "ConvTranspose", [real(op.inputs[2]), *names], [target], kernel_shape=list(kernel[1:3]), strides=_strides(op),
        pads=pads, output_padding=[max(0, -s) for s in surplus],
    )  # fmt: skip
    return emission + Emission((node,))


def _dense(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """Translate FULLY_CONNECTED (weights [outputs, inputs]) of vectors to Gemm, with the int32 bias."""
    if len(graph.tensors[op.inputs[0]].shape) != _VECTORS or len(graph.tensors[op.outputs[0]].shape) != _VECTORS:
        raise ModelError("a dense layer over a map has no ONNX form here", mend="Use a 1x1 convolution instead.")
    names, emission = _weights(graph, op, index, (1, 2), (0, 1), 0)
    return emission + Emission((helper.make_node("Gemm", [real(op.inputs[0]), *names], [target], transB=1),))


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
    def translate(graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
        size = [int(op.options["filterHeight"]), int(op.options["filterWidth"])]
        pads = _pads(op, graph.tensors[op.inputs[0]].shape, size)
        options = {"kernel_shape": size, "strides": _strides(op), "pads": pads}
        return Emission((helper.make_node(kind, [real(op.inputs[0])], [target], **options),))

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
    return Emission((node,), (to_initializer(f"s{index}", factors),))


def _resize(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    return resize_node(graph, op, index, real(op.inputs[0]), target)


def _plain(kind: str) -> Translator:
    """Translate an operator that means the same in both formats, element by element with broadcasting."""

    def translate(graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
        names, emission = _aligned(graph, op, target)
        return emission + Emission((helper.make_node(kind, names, [target]),))

    return translate


def _aligned(graph: TFLiteGraph, op: Operator, target: str) -> tuple[list[str], Emission]:
    """Return the operands; a vector that meets a map's channels becomes [N, C, 1, 1], to meet them in NCHW too."""
    names, emission = [real(index) for index in op.inputs], Emission()
    for position, index in enumerate(op.inputs):
        shape = graph.tensors[index].shape
        if len(shape) < len(graph.tensors[op.outputs[0]].shape) == _MAP:
            wide = f"{target}_{position}_wide"
            size = to_initializer(f"{wide}_shape", np.asarray([int(np.prod(shape[:-1])), *shape[-1:], 1, 1], np.int64))
            emission += Emission((helper.make_node("Reshape", [names[position], size.name], [wide]),), (size,))
            names[position] = wide
    return names, emission


def _subtraction(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """Write a - b as a + (-b), where -b has the integers of b and its negative scale. The values are exactly the same.

    ONNX Runtime has an integer kernel for the sum but none for the difference, which it computes in floats (5 times as long).
    """
    minuend, subtrahend = (graph.tensors[tensor] for tensor in op.inputs)
    if not subtrahend.scale.size or len(subtrahend.shape) != len(minuend.shape):
        return _plain("Sub")(graph, op, index, target)
    negative = dataclasses.replace(unsigned(subtrahend), scale=-subtrahend.scale)
    emission = dequantize(negative, stored(op.inputs[1]), f"{target}_minus")
    return emission + Emission((helper.make_node("Add", [real(op.inputs[0]), f"{target}_minus"], [target]),))


def _softmax(graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
    axis = channel_axis(-1, len(graph.tensors[op.inputs[0]].shape))
    return Emission((helper.make_node("Softmax", [real(op.inputs[0])], [target], axis=axis),))


def _reduce(kind: str) -> Translator:
    def translate(graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
        rank = len(graph.tensors[op.inputs[0]].shape)
        axes = sorted(channel_axis(int(a), rank) for a in np.ravel(data_of(graph.tensors[op.inputs[1]])))
        keep = int(bool(op.options["keepDims"]))
        return Emission((helper.make_node(kind, [real(op.inputs[0])], [target], axes=axes, keepdims=keep),))

    return translate


def _leaky_relu(_graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
    return Emission((helper.make_node("LeakyRelu", [real(op.inputs[0])], [target], alpha=float(op.options["alpha"])),))


def _reciprocal_root(_graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
    root = helper.make_node("Sqrt", [real(op.inputs[0])], [f"{target}_root"])
    return Emission((root, helper.make_node("Reciprocal", [f"{target}_root"], [target])))


def _relu6(_graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
    limits = [to_initializer(f"{target}_{end}", np.float32(value)) for end, value in (("low", 0.0), ("high", 6.0))]
    node = helper.make_node("Clip", [real(op.inputs[0]), *(limit.name for limit in limits)], [target])
    return Emission((node,), tuple(limits))


def _gelu(_graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
    """Write x / 2 * (1 + erf(x / sqrt(2))): opset 17 has no Gelu."""
    source = real(op.inputs[0])
    half, root, one = (
        to_initializer(f"{target}_{name}", np.float32(value))
        for name, value in (("half", 0.5), ("root", 0.5**0.5), ("one", 1.0))
    )
    steps = (("Mul", [source, root.name], "scaled"), ("Erf", [f"{target}_scaled"], "erf"),
             ("Add", [f"{target}_erf", one.name], "sum"), ("Mul", [source, half.name], "halved"))  # fmt: skip
    nodes = [helper.make_node(kind, names, [f"{target}_{name}"]) for kind, names, name in steps]
    product = helper.make_node("Mul", [f"{target}_halved", f"{target}_sum"], [target])
    return Emission((*nodes, product), (half, root, one))


OPERATORS: Mapping[str, Translator] = {
    **{op.tflite: _plain(op.onnx) for op in OPS.values() if op.tflite and op.onnx},
    **{function.tflite: _plain(function.onnx) for function in FUNCTIONS.values() if function.tflite and function.onnx},
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _convolution,
    "TRANSPOSE_CONV": _transposed_convolution,
    "MAX_POOL_2D": _pool("MaxPool"),
    "AVERAGE_POOL_2D": _pool("AveragePool"),
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "SOFTMAX": _softmax,
    "RELU6": _relu6,
    "GELU": _gelu,
    "FULLY_CONNECTED": _dense,
    "LEAKY_RELU": _leaky_relu,
    "SUB": _subtraction,
    "QUANTIZE": _plain("Identity"),
    "DEQUANTIZE": _plain("Identity"),
    "REDUCE_MAX": _reduce("ReduceMax"),
    "MEAN": _reduce("ReduceMean"),
    "RSQRT": _reciprocal_root,
}
