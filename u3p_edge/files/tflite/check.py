"""Check that LiteRT can run a TFLite file safely: operators that are known, shapes that follow from each other, memory.

While it loads a file, LiteRT computes the shapes again from constants and options, and XNNPACK trusts those that the file
declares; neither bounds them. So the two must agree: here the shapes that every operator gives are computed from its inputs
and compared with those that are declared. Then the memory that is needed is known before any is allocated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.files.tflite import moves as moves
from u3p_edge.files.tflite import values as values
from u3p_edge.files.tflite import windows as windows
from u3p_edge.files.tflite.call import OperatorCall, Shape
from u3p_edge.files.tflite.graph import Operator, Tensor, TFLiteFile, TFLiteGraph
from u3p_edge.files.tflite.parse import MAX_ENTRIES, Bytes, parse

_QUANTIZED = (np.int8, np.uint8, np.int16)
_RATIO = 2.0**13
"""Between the scales of what an operator reads and gives: from 2^14 on, kernels abort (ADD of int16 shifts by 15 bits)."""


@dataclass(frozen=True)
class OperatorRule:
    """What an operator takes and gives.

    Args:
        shapes: of its outputs, from its inputs, constants and options.
        inputs: how many it has, from and to; those beyond the first may be left out.
        types: "same" (all have one element type), "first" (the outputs have that of the map), "compare", "select",
            "index", "any", or "weights" (checked with the shapes).
        source: position of the map among the inputs.
    """

    shapes: Callable[[OperatorCall], tuple[Shape, ...]]
    inputs: tuple[int, int] = (1, 1)
    types: str = "same"
    source: int = 0


def _rules() -> dict[str, OperatorRule]:
    """Return the rules by the names of the builtin operators."""
    unary = "ABS CEIL COS ELU EXP FLOOR GELU HARD_SWISH LEAKY_RELU LOG LOGICAL_NOT LOGISTIC NEG RELU RELU6 RELU_0_TO_1 "
    unary += "RELU_N1_TO_1 ROUND RSQRT SIGN SIN SQRT SQUARE TANH ZEROS_LIKE"
    pair = "ADD DIV FLOOR_DIV FLOOR_MOD LOGICAL_AND LOGICAL_OR MAXIMUM MINIMUM MUL POW SQUARED_DIFFERENCE SUB"
    compare = "EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL NOT_EQUAL"
    many = (1, MAX_ENTRIES)
    return {
        **{code: OperatorRule(values.elementwise_shapes) for code in unary.split()},
        **{code: OperatorRule(values.elementwise_shapes, types="any") for code in ("CAST", "QUANTIZE", "DEQUANTIZE")},
        **{code: OperatorRule(values.row_wise_shapes) for code in ("L2_NORMALIZATION", "LOG_SOFTMAX", "SOFTMAX")},
        **{code: OperatorRule(values.broadcast_shapes, (2, 2)) for code in pair.split()},
        **{code: OperatorRule(values.broadcast_shapes, (2, 2), "compare") for code in compare.split()},
        **{code: OperatorRule(values.broadcast_shapes, (3, 3), "select") for code in ("SELECT", "SELECT_V2")},
        **{code: OperatorRule(values.arg_max_shapes, (2, 2), "index") for code in ("ARG_MAX", "ARG_MIN")},
        **{code: OperatorRule(values.reduction_shapes, (2, 2), "first") for code in ("MEAN", "SUM")},
        **{
            f"REDUCE_{kind}": OperatorRule(values.reduction_shapes, (2, 2), "first")
            for kind in ("ALL", "ANY", "MAX", "MIN", "PROD")
        },
        **{f"{kind}_POOL_2D": OperatorRule(windows.pool_shapes) for kind in ("AVERAGE", "L2", "MAX")},
        **{code: OperatorRule(moves.resize_shapes, (2, 2), "first") for code in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")},
        **{code: OperatorRule(moves.pad_shapes, (2, 2), "first") for code in ("PAD", "MIRROR_PAD")},
        "ADD_N": OperatorRule(values.add_n_shapes, many),
        "BATCH_MATMUL": OperatorRule(windows.matmul_shapes, (2, 2)),
        "BATCH_TO_SPACE_ND": OperatorRule(moves.batch_to_space_shapes, (3, 3), "first"),
        "BROADCAST_TO": OperatorRule(moves.broadcast_to_shapes, (2, 2), "first"),
        "CONCATENATION": OperatorRule(moves.concatenation_shapes, many),
        "CONV_2D": OperatorRule(windows.conv_shapes, (2, 3), "weights"),
        "DEPTHWISE_CONV_2D": OperatorRule(windows.depthwise_shapes, (2, 3), "weights"),
        "DEPTH_TO_SPACE": OperatorRule(moves.depth_to_space_shapes),
        "EXPAND_DIMS": OperatorRule(moves.expand_shapes, (2, 2), "first"),
        "FILL": OperatorRule(moves.fill_shapes, (2, 2), "first", 1),
        "FULLY_CONNECTED": OperatorRule(windows.dense_shapes, (2, 3), "weights"),
        "GATHER": OperatorRule(moves.gather_shapes, (2, 2), "first"),
        "PACK": OperatorRule(moves.stack_shapes, many),
        "PADV2": OperatorRule(moves.pad_shapes, (3, 3), "first"),
        "PRELU": OperatorRule(values.prelu_shapes, (2, 2)),
        "RESHAPE": OperatorRule(moves.reshape_shapes, (1, 2), "first"),
        "REVERSE_V2": OperatorRule(moves.reverse_shapes, (2, 2), "first"),
        "SLICE": OperatorRule(moves.slice_shapes, (3, 3), "first"),
        "SPACE_TO_BATCH_ND": OperatorRule(moves.space_to_batch_shapes, (3, 3), "first"),
        "SPACE_TO_DEPTH": OperatorRule(moves.space_to_depth_shapes),
        "SPLIT": OperatorRule(moves.split_shapes, (2, 2), "first", 1),
        "SPLIT_V": OperatorRule(moves.split_v_shapes, (3, 3), "first"),
        "SQUEEZE": OperatorRule(moves.squeeze_shapes),
        "STRIDED_SLICE": OperatorRule(moves.strided_slice_shapes, (4, 4), "first"),
        "TILE": OperatorRule(moves.tile_shapes, (2, 2), "first"),
        "TRANSPOSE": OperatorRule(moves.transpose_shapes, (2, 2), "first"),
        "TRANSPOSE_CONV": OperatorRule(windows.conv_transpose_shapes, (3, 4), "weights"),
        "UNPACK": OperatorRule(moves.unstack_shapes),
    }


RULES: Mapping[str, OperatorRule] = MappingProxyType(_rules())
"""The operators that may be in a file, by name."""


def read(data: Bytes, max_memory_mb: float | None = None) -> TFLiteFile:
    """Return the values of a TFLite file of unknown origin, if LiteRT can load and run it safely.

    Args:
        data: the file's bytes; constants are views of them.
        max_memory_mb: memory that it may take, in MB of 10^6 bytes; None for a file that this program made.

    Raises:
        ModelError: the file is damaged, has an index, size, shape, type, scale or operator that cannot be run, or takes more
            memory than allowed.
    """
    file = parse(data)
    calls = _calls(file.graph)
    for call in calls:
        _check(call)
    if max_memory_mb is not None:
        _check_memory(file.graph, calls, max_memory_mb)
    return file


def _calls(graph: TFLiteGraph) -> tuple[OperatorCall, ...]:
    """Return the operators with their tensors, each of which is a constant, an input, or given once before it is read."""
    for index in graph.inputs:
        _check_port(graph.tensors[index])
    made = set(graph.inputs)
    for op in graph.operators:
        _check_wiring(graph, op, made)
        made.update(op.outputs)
    if not graph.outputs or not made.issuperset(graph.outputs):
        raise ModelError("an output of the TFLite file is given by no operator")
    tensors = graph.tensors
    return tuple(
        OperatorCall(op, tuple(None if i < 0 else tensors[i] for i in op.inputs), tuple(tensors[i] for i in op.outputs))
        for op in graph.operators
    )


def _check_port(tensor: Tensor) -> None:
    if tensor.data is not None:
        raise ModelError(f"the input {tensor.name!r} of the TFLite file is a constant, or empty")
    _check_scale(tensor)


def _check_wiring(graph: TFLiteGraph, op: Operator, made: set[int]) -> None:
    tensors = graph.tensors
    unmade = next((i for i in op.inputs if i >= 0 and i not in made and tensors[i].data is None), None)
    if unmade is not None:
        raise ModelError(f"the TFLite operator {op.code} reads {tensors[unmade].name!r}, which no operator before it gives")
    again = next((i for i in op.outputs if i in made or tensors[i].data is not None), None)
    if again is not None or len(set(op.outputs)) != len(op.outputs) or not op.outputs:
        raise ModelError(f"the TFLite operator {op.code} gives a constant, nothing, or what is there already")


def _check(call: OperatorCall) -> None:
    rule, count = RULES.get(call.op.code), len(call.inputs)
    if rule is None:
        raise ModelError(
            f"the TFLite operator {call.op.code} is not among those that are run here",
            mend="Custom operators are not run either.",
        )
    call.require(rule.inputs[0] <= count <= rule.inputs[1], f"it has {count} inputs")
    call.activation()
    computed, declared = rule.shapes(call), tuple(tensor.shape for tensor in call.outputs)
    call.require(computed == declared, f"it gives {_text(computed)}, where the file declares {_text(declared)}")
    call.require(_types_fit(call, rule), "its element types do not fit each other")
    for tensor in (*call.outputs, *(tensor for tensor in call.inputs if tensor is not None)):
        _check_scale(tensor)
    _check_ratio(call)


def _text(shapes: tuple[Shape, ...]) -> str:
    return ", ".join("x".join(map(str, shape)) or "one number" for shape in shapes[:4])


def _types_fit(call: OperatorCall, rule: OperatorRule) -> bool:
    given = {tensor.dtype.name for tensor in call.outputs}
    read = [tensor.dtype.name for tensor in call.inputs if tensor is not None]
    if rule.types == "same":
        return len(given | set(read)) == 1
    if rule.types == "first":
        return given == {read[rule.source]}
    if rule.types == "compare":  # LiteRT's comparisons abort at scales from 1 on
        small = all(tensor.scale.size == 0 or tensor.scale.max() < 1 for tensor in call.inputs if tensor is not None)
        return given == {"bool"} and len(set(read)) == 1 and small
    if rule.types == "select":
        return read[0] == "bool" and len(given | set(read[1:])) == 1
    return given <= {"int32", "int64"} if rule.types == "index" else True


def _check_scale(tensor: Tensor) -> None:
    """Refuse a computed tensor without elements, and integers of one or two bytes without a valid scale."""
    if tensor.data is None and 0 in tensor.shape:
        raise ModelError(f"the TFLite tensor {tensor.name!r} is empty")
    if tensor.dtype not in _QUANTIZED:
        return
    limits = np.iinfo(tensor.dtype)
    scales, zeros = tensor.scale, tensor.zero_point
    fits = scales.size >= 1 and bool(
        np.all(np.isfinite(scales) & (scales > 0)) and np.all((zeros >= limits.min) & (zeros <= limits.max))
    )
    if tensor.data is None:
        fits = fits and scales.size == 1 and float(scales[0]) >= float(np.finfo(np.float32).tiny)
        fits = fits and (tensor.dtype != np.int16 or int(zeros[0]) == 0)
    if not fits:
        raise ModelError(f"the TFLite tensor {tensor.name!r} has no scale, or one that cannot be")


def _check_ratio(call: OperatorCall) -> None:
    """Refuse scales that are far from each other: LiteRT's integer kernels abort, or divide by zero."""
    after = call.outputs[0]
    if after.dtype not in _QUANTIZED or RULES[call.op.code].types == "weights":
        return
    for before in call.inputs:
        if before is not None and before.dtype in _QUANTIZED:
            ratio = float(before.scale.max()) / float(after.scale[0])
            call.require(ratio < _RATIO, f"its scales {before.scale.max():g} and {after.scale[0]:g} lie too far apart")


def _check_memory(graph: TFLiteGraph, calls: tuple[OperatorCall, ...], limit: float) -> None:
    needed = count_memory(graph, calls) / 1e6
    if needed > limit:
        raise ModelError(
            f"the TFLite file would take about {needed:,.0f} MB of memory, more than the {limit:,.0f} MB that are allowed",
            mend="If that is meant, allow more with --max-memory-mb.",
        )


def count_memory(graph: TFLiteGraph, calls: tuple[OperatorCall, ...]) -> int:
    """Return the bytes that loading and running a file takes at least: constants, the maps alive at once, kernels' tables."""
    last = {index: position for position, op in enumerate(graph.operators) for index in (*op.inputs, *op.outputs)}
    last |= {index: len(calls) for index in graph.outputs}
    sizes = [prod(tensor.shape) * tensor.dtype.itemsize for tensor in graph.tensors]
    ends: dict[int, int] = {}
    for index, position in last.items():
        ends[position] = ends.get(position, 0) + (sizes[index] if graph.tensors[index].data is None and index >= 0 else 0)
    alive = peak = sum(sizes[index] for index in set(graph.inputs))
    for position, op in enumerate(graph.operators):
        alive += sum(sizes[index] for index in op.outputs)
        peak = max(peak, alive)
        alive -= ends.get(position, 0)
    constants = sum(size for size, tensor in zip(sizes, graph.tensors, strict=True) if tensor.data is not None)
    return constants + peak + sum(map(windows.count_pointers, calls)) + max(map(windows.count_copies, calls), default=0)
