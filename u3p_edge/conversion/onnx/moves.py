"""Translate the TFLite operators that only move values to ONNX nodes that move integers.

A DequantizeLinear before and a QuantizeLinear after each would change no value, but OpenVINO 2026.4 then computes every second
RESHAPE or STRIDED_SLICE in floats (an int8 UNet 3+ in its rewritten form takes a fifth longer). So a translator here reads and
writes `stored` maps, which hold real values only in a float network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from onnx import helper

from u3p_edge.conversion.onnx.pieces import (
    TO_NCHW,
    TO_NHWC,
    Emission,
    channel_axis,
    data_of,
    stored,
    to_initializer,
    transpose,
    unsigned,
)
from u3p_edge.conversion.slicing import cut_operator
from u3p_edge.conversion.tflite.schema import Operator, TFLiteGraph

Mover = Callable[[TFLiteGraph, Operator, int, str], Emission]


def reshape(graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
    """Translate a RESHAPE. Elements keep their NHWC order.

    So a map is transposed to NHWC before and back to NCHW after, unless its number of channels stays the same.
    """
    source, emission = stored(op.inputs[0]), Emission()
    before, after = (graph.tensors[t].shape for t in (op.inputs[0], op.outputs[0]))
    if len(before) == len(after) == 4 and before[3] == after[3]:
        shape = to_initializer(f"{target}_shape", np.asarray(after, np.int64)[list(TO_NCHW)])
        return Emission((helper.make_node("Reshape", [source, shape.name], [target]),), (shape,))
    if len(before) == 4:
        emission += transpose(source, f"{target}_from", TO_NHWC)
        source = f"{target}_from"
    shape = to_initializer(f"{target}_shape", np.asarray(after, np.int64))
    reshaped = f"{target}_to" if len(after) == 4 else target
    emission += Emission((helper.make_node("Reshape", [source, shape.name], [reshaped]),), (shape,))
    return emission + transpose(reshaped, target, TO_NCHW) if len(after) == 4 else emission


def slice_node(graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
    """Translate STRIDED_SLICE with steps of 1 to one Slice of an NCHW map."""
    spans = np.asarray(cut_operator(graph, op), np.int64)
    spans = spans[list(TO_NCHW)] if len(spans) == 4 else spans
    starts, ends = (to_initializer(f"{target}_{name}", spans[:, end]) for end, name in enumerate(("starts", "ends")))
    node = helper.make_node("Slice", [stored(op.inputs[0]), starts.name, ends.name], [target])
    return Emission((node,), (starts, ends))


def space_to_depth(graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
    """Translate SPACE_TO_DEPTH to slices, because runtimes have no SpaceToDepth for integers.

    For blocks of 2 these take every second pixel in both directions, four times.
    """
    source, emission = stored(op.inputs[0]), Emission()
    block = int(op.options["blockSize"])
    axes, steps = (
        to_initializer(f"{target}_{name}", np.asarray(v, np.int64)) for name, v in (("axes", [2, 3]), ("steps", [block] * 2))
    )
    ends = to_initializer(f"{target}_ends", np.asarray(graph.tensors[op.inputs[0]].shape[1:3], np.int64))
    emission += Emission(constants=(axes, steps, ends))
    parts = []
    for row, column in np.ndindex(block, block):
        part, starts = (
            f"{target}_{row}{column}",
            to_initializer(f"{target}_{row}{column}_starts", np.asarray([row, column], np.int64)),
        )
        node = helper.make_node("Slice", [source, starts.name, ends.name, axes.name, steps.name], [part])
        emission += Emission((node,), (starts,))
        parts.append(part)
    return emission + Emission((helper.make_node("Concat", parts, [target], axis=1),))


def depth_to_space(graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
    """Translate DEPTH_TO_SPACE, because OpenVINO 2026.4 cannot compile a DepthToSpace of integers.

    The columns of a block are put side by side in an axis of their own, then its rows.
    """
    source, emission = stored(op.inputs[0]), Emission()
    block, (_, rows, columns, channels) = int(op.options["blockSize"]), graph.tensors[op.outputs[0]].shape
    wide = to_initializer(f"{target}_wide", np.asarray([1, channels, rows // block, columns], np.int64))
    whole = to_initializer(f"{target}_whole", np.asarray([1, channels, rows, columns], np.int64))
    last = to_initializer(f"{target}_last", np.asarray([4], np.int64))
    parts = [f"{target}_{row}{column}" for row, column in np.ndindex(block, block)]
    emission += Emission((helper.make_node("Split", [source], parts, axis=1),), (wide, whole, last))
    for row in range(block):
        row_parts = parts[row * block : (row + 1) * block]
        emission += Emission(tuple(helper.make_node("Unsqueeze", [part, last.name], [f"{part}_column"]) for part in row_parts))
        joined = helper.make_node("Concat", [f"{part}_column" for part in row_parts], [f"{target}_row{row}_columns"], axis=4)
        merged = helper.make_node("Reshape", [f"{target}_row{row}_columns", wide.name], [f"{target}_row{row}"])
        emission += Emission((joined, merged))
    rows_joined = helper.make_node("Concat", [f"{target}_row{row}" for row in range(block)], [f"{target}_rows"], axis=3)
    return emission + Emission((rows_joined, helper.make_node("Reshape", [f"{target}_rows", whole.name], [target])))


def pad_node(graph: TFLiteGraph, op: Operator, _index: int, target: str) -> Emission:
    """Translate a PAD with zeros. ONNX Runtime pads integers in floats, so zeros are concatenated to an integer map."""
    source, paddings = graph.tensors[op.inputs[0]], data_of(graph.tensors[op.inputs[1]])
    if source.scale.size:
        return _with_zeros(graph, op, paddings, target)
    order = list(TO_NCHW) if len(paddings) == 4 else list(range(len(paddings)))
    pads = to_initializer(f"{target}_pads", paddings[order].T.ravel().astype(np.int64))  # all beginnings, then all ends
    return Emission((helper.make_node("Pad", [stored(op.inputs[0]), pads.name], [target]),), (pads,))


def _with_zeros(graph: TFLiteGraph, op: Operator, paddings: npt.NDArray[np.int32], target: str) -> Emission:
    """Put a map between rows, columns or channels of the integer that represents zero."""
    kept = unsigned(graph.tensors[op.inputs[0]])
    rank = len(kept.shape)
    order = TO_NCHW if rank == 4 else tuple(range(rank))
    shape, source, emission = [kept.shape[axis] for axis in order], stored(op.inputs[0]), Emission()
    for axis in (axis for axis in range(rank) if paddings[order[axis]].any()):
        counts, names = paddings[order[axis]], [source]
        for end, count in enumerate(counts):
            if not count:
                continue
            zeros = np.full([*shape[:axis], int(count), *shape[axis + 1 :]], int(kept.zero_point[0]), kept.dtype)
            emission += Emission(constants=(to_initializer(f"{target}_zeros{axis}{end}", zeros),))
            names.insert(0 if end == 0 else len(names), f"{target}_zeros{axis}{end}")
        shape[axis] += int(counts.sum())
        source = f"{target}_axis{axis}"
        emission += Emission((helper.make_node("Concat", names, [source], axis=axis),))
    return emission + Emission((helper.make_node("Identity", [source], [target]),))


def concat_node(graph: TFLiteGraph, op: Operator, index: int, target: str) -> Emission:
    """Translate a CONCATENATION of maps and constants that all have one scale."""
    names, emission = [], Emission()
    for position, tensor in enumerate(op.inputs):
        value, name = unsigned(graph.tensors[tensor]), stored(tensor)
        if value.data is not None:
            name = f"x{index}_{position}_q"
            emission += Emission(constants=(to_initializer(name, value.data.transpose(TO_NCHW)),))
        names.append(name)
    axis = channel_axis(int(op.options["axis"]), len(graph.tensors[op.outputs[0]].shape))
    return emission + Emission((helper.make_node("Concat", names, [target], axis=axis),))


MOVES: Mapping[str, Mover] = MappingProxyType(
    {
        "CONCATENATION": concat_node,
        "RESHAPE": reshape,
        "STRIDED_SLICE": slice_node,
        "PAD": pad_node,
        "SPACE_TO_DEPTH": space_to_depth,
        "DEPTH_TO_SPACE": depth_to_space,
    }
)
"""The translator of every operator that only moves values."""
