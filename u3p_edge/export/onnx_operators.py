"""What each TFLite operator is in ONNX: one function an operator, one table that names them all.

A translator gives the operation on real values; its inputs are already dequantized, its output not yet quantized.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
from onnx import helper

from u3p_edge.errors import ModelError
from u3p_edge.export.flatbuffer import Operator, Tensor, TFLiteGraph
from u3p_edge.export.onnx_pieces import (
    TO_NCHW,
    TO_NHWC,
    Emission,
    constant,
    data_of,
    dequantize,
    operand,
    operands,
    quantize,
    stored,
    transpose,
    unsigned,
)
from u3p_edge.export.slicing import cut

Translator = Callable[[TFLiteGraph, Operator, int, str], Emission]
_SAME = 0  # schema.Padding


def _convolution(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """CONV_2D (weights OHWI) and DEPTHWISE_CONV_2D (weights 1HWO) to Conv (weights OIHW), bias int32 included."""
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
        group=graph.tensors[op.inputs[0]].shape[3] if depthwise else 1,
    )  # fmt: skip
    return emission + Emission((node,))


def _strides(op: Operator) -> list[int]:
    return [int(op.options["strideH"]), int(op.options["strideW"])]


def _pads(op: Operator, shape: Sequence[int], spans: Sequence[int]) -> list[int]:
    """TensorFlow's SAME: the odd pixel goes below and to the right. ONNX order: top, left, bottom, right."""
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


def resized(graph: TFLiteGraph, op: Operator, index: int, source: str, target: str) -> Emission:
    """The map `source` on an operator's larger grid: half-pixel bilinear; nearest by an integer factor, where floor of the
    asymmetric grid is TensorFlow's choice."""
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
    return emission + resized(graph, op, index, source, target)


def _plain(kind: str) -> Translator:
    """An operator of the same meaning in both formats, element by element with broadcasting."""

    def translate(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
        names, emission = operands(graph, op, index)
        return emission + Emission((helper.make_node(kind, names, [target]),))

    return translate


def _subtraction(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """a - b as a + (-b), where -b are the integers of b in steps of minus their scale: exactly the same values.

    ONNX Runtime has an integer kernel for the sum and none for the difference, which it computes in floats (5 times as long).
    """
    minuend, subtrahend = (graph.tensors[tensor] for tensor in op.inputs)
    if subtrahend.data is not None or not subtrahend.scale.size or len(subtrahend.shape) != len(minuend.shape):
        return _plain("Sub")(graph, op, index, target)
    source, emission = operand(graph, op.inputs[0], index, 0)
    negative = dataclasses.replace(unsigned(subtrahend), scale=-subtrahend.scale)
    emission += dequantize(negative, stored(op.inputs[1]), f"{target}_minus")
    return emission + Emission((helper.make_node("Add", [source, f"{target}_minus"], [target]),))


def _channel_axis(axis: int, rank: int) -> int:
    """An NHWC axis in NCHW order; other ranks keep theirs."""
    axis %= rank
    return TO_NCHW.index(axis) if rank == 4 else axis


def _concatenation(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    names, emission = operands(graph, op, index)
    axis = _channel_axis(int(op.options["axis"]), len(graph.tensors[op.outputs[0]].shape))
    return emission + Emission((helper.make_node("Concat", names, [target], axis=axis),))


def _softmax(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    source, emission = operand(graph, op.inputs[0], index, 0)
    axis = _channel_axis(-1, len(graph.tensors[op.inputs[0]].shape))
    return emission + Emission((helper.make_node("Softmax", [source], [target], axis=axis),))


def _reduce(kind: str) -> Translator:
    def translate(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
        source, emission = operand(graph, op.inputs[0], index, 0)
        rank = len(graph.tensors[op.inputs[0]].shape)
        axes = sorted(_channel_axis(int(a), rank) for a in np.ravel(data_of(graph.tensors[op.inputs[1]])))
        keep = int(bool(op.options["keepDims"]))
        if rank == 4 and not keep and 1 not in axes and not {2, 3} <= set(axes):  # what is left would be in another order
            raise ModelError(f"{op.code} over the axes {axes} of a map has no ONNX form here")
        return emission + Emission((helper.make_node(kind, [source], [target], axes=axes, keepdims=keep),))

    return translate


def _reshape(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """Elements keep their NHWC order, so a map is brought to NHWC before and back to NCHW after, unless its channels stay."""
    source, emission = operand(graph, op.inputs[0], index, 0)
    before, after = (graph.tensors[t].shape for t in (op.inputs[0], op.outputs[0]))
    if len(before) == len(after) == 4 and before[3] == after[3]:
        shape = constant(f"{target}_shape", np.asarray(after, np.int64)[list(TO_NCHW)])
        return emission + Emission((helper.make_node("Reshape", [source, shape.name], [target]),), (shape,))
    if len(before) == 4:
        emission += transpose(source, f"{target}_from", TO_NHWC)
        source = f"{target}_from"
    shape = constant(f"{target}_shape", np.asarray(after, np.int64))
    reshaped = f"{target}_to" if len(after) == 4 else target
    emission += Emission((helper.make_node("Reshape", [source, shape.name], [reshaped]),), (shape,))
    return emission + transpose(reshaped, target, TO_NCHW) if len(after) == 4 else emission


def _sliced(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """STRIDED_SLICE and SLICE with steps of 1, as one Slice of an NCHW map."""
    source, emission = operand(graph, op.inputs[0], index, 0)
    spans = np.asarray(cut(graph, op), np.int64)
    spans = spans[list(TO_NCHW)] if len(spans) == 4 else spans
    starts, ends = (constant(f"{target}_{name}", spans[:, end]) for end, name in enumerate(("starts", "ends")))
    return emission + Emission((helper.make_node("Slice", [source, starts.name, ends.name], [target]),), (starts, ends))


def _space_to_depth(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """Every second place in both directions, four times: runtimes have no SpaceToDepth for integers."""
    source, emission = operand(graph, op.inputs[0], index, 0)
    block = int(op.options["blockSize"])
    axes, steps = (
        constant(f"{target}_{name}", np.asarray(v, np.int64)) for name, v in (("axes", [2, 3]), ("steps", [block] * 2))
    )
    ends = constant(f"{target}_ends", np.asarray(graph.tensors[op.inputs[0]].shape[1:3], np.int64))
    emission += Emission(constants=(axes, steps, ends))
    parts = []
    for row, column in np.ndindex(block, block):
        part, starts = (
            f"{target}_{row}{column}",
            constant(f"{target}_{row}{column}_starts", np.asarray([row, column], np.int64)),
        )
        node = helper.make_node("Slice", [source, starts.name, ends.name, axes.name, steps.name], [part])
        emission += Emission((node,), (starts,))
        parts.append(part)
    return emission + Emission((helper.make_node("Concat", parts, [target], axis=1),))


def _depth_to_space(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """Columns side by side in an axis of their own, then rows: OpenVINO 2026.4 cannot compile a DepthToSpace of integers."""
    source, emission = operand(graph, op.inputs[0], index, 0)
    block, (_, rows, columns, channels) = int(op.options["blockSize"]), graph.tensors[op.outputs[0]].shape
    wide = constant(f"{target}_wide", np.asarray([1, channels, rows // block, columns], np.int64))
    whole = constant(f"{target}_whole", np.asarray([1, channels, rows, columns], np.int64))
    last = constant(f"{target}_last", np.asarray([4], np.int64))
    parts = [f"{target}_{row}{column}" for row, column in np.ndindex(block, block)]
    emission += Emission((helper.make_node("Split", [source], parts, axis=1),), (wide, whole, last))
    for row in range(block):
        own = parts[row * block : (row + 1) * block]
        emission += Emission(tuple(helper.make_node("Unsqueeze", [part, last.name], [f"{part}_column"]) for part in own))
        joined = helper.make_node("Concat", [f"{part}_column" for part in own], [f"{target}_row{row}_columns"], axis=4)
        merged = helper.make_node("Reshape", [f"{target}_row{row}_columns", wide.name], [f"{target}_row{row}"])
        emission += Emission((joined, merged))
    rows_joined = helper.make_node("Concat", [f"{target}_row{row}" for row in range(block)], [f"{target}_rows"], axis=3)
    return emission + Emission((rows_joined, helper.make_node("Reshape", [f"{target}_rows", whole.name], [target])))


def _padded(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """PAD with zeros: those of a map of integers are joined on, since ONNX Runtime pads in floats. ONNX order: all beginnings,
    then all ends."""
    source, emission = operand(graph, op.inputs[0], index, 0)
    before, paddings = graph.tensors[op.inputs[0]], data_of(graph.tensors[op.inputs[1]])
    if len(paddings) == 4 and before.scale.size and not paddings[[0, 3]].any():
        return emission + _with_zeros(before, paddings, source, target)
    order = list(TO_NCHW) if len(paddings) == 4 else list(range(len(paddings)))
    pads = constant(f"{target}_pads", paddings[order].T.ravel().astype(np.int64))
    return emission + Emission((helper.make_node("Pad", [source, pads.name], [target]),), (pads,))


def _with_zeros(before: Tensor, paddings: npt.NDArray[np.int32], source: str, target: str) -> Emission:
    """A map between rows and columns of the integer that stands for zero; between the two it is stored, to stay integers."""
    kept, shape, emission = unsigned(before), [before.shape[axis] for axis in TO_NCHW], Emission()
    axes = [axis for axis in (2, 3) if paddings[axis - 1].any()]
    for axis in axes:
        counts, names = paddings[axis - 1], [source]
        for end, count in enumerate(counts):
            if not count:
                continue
            name = f"{target}_zeros{axis}{end}"
            zeros = np.full([*shape[:axis], int(count), *shape[axis + 1 :]], int(kept.zero_point[0]), kept.dtype)
            emission += Emission(constants=(constant(f"{name}_q", zeros),)) + dequantize(kept, f"{name}_q", name)
            names.insert(0 if end == 0 else len(names), name)
        shape[axis] += int(counts.sum())
        joined = target if axis == axes[-1] else f"{target}_axis{axis}"
        emission += Emission((helper.make_node("Concat", names, [joined], axis=axis),))
        if joined != target:
            emission += quantize(kept, joined, f"{joined}_q") + dequantize(kept, f"{joined}_q", f"{joined}_real")
            source = f"{joined}_real"
    return emission


def _permute(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """A TRANSPOSE of NHWC maps, as one Transpose of NCHW maps."""
    source, emission = operand(graph, op.inputs[0], index, 0)
    order = [int(axis) for axis in np.ravel(data_of(graph.tensors[op.inputs[1]]))]
    if len(order) == 4:
        order = [TO_NCHW.index(order[TO_NCHW[axis]]) for axis in range(4)]
    return emission + transpose(source, target, order)


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
    "RELU": _plain("Relu"),
    "ADD": _plain("Add"),
    "SUB": _subtraction,
    "MUL": _plain("Mul"),
    "QUANTIZE": _plain("Identity"),
    "DEQUANTIZE": _plain("Identity"),
    "REDUCE_MAX": _reduce("ReduceMax"),
    "MEAN": _reduce("ReduceMean"),
    "RESHAPE": _reshape,
    "STRIDED_SLICE": _sliced,
    "SLICE": _sliced,
    "PAD": _padded,
    "SPACE_TO_DEPTH": _space_to_depth,
    "DEPTH_TO_SPACE": _depth_to_space,
    "TRANSPOSE": _permute,
    "SQUARED_DIFFERENCE": _squared_difference,
    "RSQRT": _reciprocal_root,
}
