"""Whether LiteRT can run a TFLite file safely: operators that are known, shapes that follow from each other, memory.

LiteRT works the shapes out again while it loads a file, from constants and options, and XNNPACK believes those that the
file declares; neither bounds them. So both must say the same here: what every operator makes of its inputs is worked out
and held against what is declared. What is then allocated is known before anything is.
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
from u3p_edge.files.tflite.call import Call, Shape
from u3p_edge.files.tflite.graph import Operator, Tensor, TFLiteFile, TFLiteGraph
from u3p_edge.files.tflite.parse import MAX_ENTRIES, Bytes, parse

_QUANTIZED = (np.int8, np.uint8, np.int16)
_RATIO = 2.0**13
"""Between the scales of what an operator reads and gives: from 2^14 on, kernels abort (ADD of int16 shifts by 15 bits)."""


@dataclass(frozen=True)
class Rule:
    """What an operator takes and gives.

    Args:
        shapes: of its outputs, from its inputs, constants and options.
        inputs: how many it has, from and to; those beyond the first may be left out.
        types: "same" (all have one element type), "first" (the outputs have that of the map), "compare", "select",
            "index", "any", or "weights" (checked with the shapes).
        source: position of the map among the inputs.
    """

    shapes: Callable[[Call], tuple[Shape, ...]]
    inputs: tuple[int, int] = (1, 1)
    types: str = "same"
    source: int = 0


def _rules() -> dict[str, Rule]:
    """By the names of the builtin operators."""
    unary = "ABS CEIL COS ELU EXP FLOOR GELU HARD_SWISH LEAKY_RELU LOG LOGICAL_NOT LOGISTIC NEG RELU RELU6 RELU_0_TO_1 "
    unary += "RELU_N1_TO_1 ROUND RSQRT SIGN SIN SQRT SQUARE TANH ZEROS_LIKE"
    pair = "ADD DIV FLOOR_DIV FLOOR_MOD LOGICAL_AND LOGICAL_OR MAXIMUM MINIMUM MUL POW SQUARED_DIFFERENCE SUB"
    compare = "EQUAL GREATER GREATER_EQUAL LESS LESS_EQUAL NOT_EQUAL"
    many = (1, MAX_ENTRIES)
    return {
        **{code: Rule(values.same) for code in unary.split()},
        **{code: Rule(values.same, types="any") for code in ("CAST", "QUANTIZE", "DEQUANTIZE")},
        **{code: Rule(values.rows) for code in ("L2_NORMALIZATION", "LOG_SOFTMAX", "SOFTMAX")},
        **{code: Rule(values.broadcast, (2, 2)) for code in pair.split()},
        **{code: Rule(values.broadcast, (2, 2), "compare") for code in compare.split()},
        **{code: Rule(values.broadcast, (3, 3), "select") for code in ("SELECT", "SELECT_V2")},
        **{code: Rule(values.place, (2, 2), "index") for code in ("ARG_MAX", "ARG_MIN")},
        **{code: Rule(values.reduction, (2, 2), "first") for code in ("MEAN", "SUM")},
        **{f"REDUCE_{kind}": Rule(values.reduction, (2, 2), "first") for kind in ("ALL", "ANY", "MAX", "MIN", "PROD")},
        **{f"{kind}_POOL_2D": Rule(windows.pool) for kind in ("AVERAGE", "L2", "MAX")},
        **{code: Rule(moves.resize, (2, 2), "first") for code in ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")},
        **{code: Rule(moves.pad, (2, 2), "first") for code in ("PAD", "MIRROR_PAD")},
        "ADD_N": Rule(values.total, many),
        "BATCH_MATMUL": Rule(windows.matmul, (2, 2)),
        "BATCH_TO_SPACE_ND": Rule(moves.batch_to_space, (3, 3), "first"),
        "BROADCAST_TO": Rule(moves.broadcast_to, (2, 2), "first"),
        "CONCATENATION": Rule(moves.concatenation, many),
        "CONV_2D": Rule(windows.conv, (2, 3), "weights"),
        "DEPTHWISE_CONV_2D": Rule(windows.depthwise, (2, 3), "weights"),
        "DEPTH_TO_SPACE": Rule(moves.depth_to_space),
        "EXPAND_DIMS": Rule(moves.expand, (2, 2), "first"),
        "FILL": Rule(moves.fill, (2, 2), "first", 1),
        "FULLY_CONNECTED": Rule(windows.dense, (2, 3), "weights"),
        "GATHER": Rule(moves.gather, (2, 2), "first"),
        "PACK": Rule(moves.stack, many),
        "PADV2": Rule(moves.pad, (3, 3), "first"),
        "PRELU": Rule(values.prelu, (2, 2)),
        "RESHAPE": Rule(moves.reshape, (1, 2), "first"),
        "REVERSE_V2": Rule(moves.reverse, (2, 2), "first"),
        "SLICE": Rule(moves.slice_, (3, 3), "first"),
        "SPACE_TO_BATCH_ND": Rule(moves.space_to_batch, (3, 3), "first"),
        "SPACE_TO_DEPTH": Rule(moves.space_to_depth),
        "SPLIT": Rule(moves.split, (2, 2), "first", 1),
        "SPLIT_V": Rule(moves.split_sizes, (3, 3), "first"),
        "SQUEEZE": Rule(moves.squeeze),
        "STRIDED_SLICE": Rule(moves.strided_slice, (4, 4), "first"),
        "TILE": Rule(moves.tile, (2, 2), "first"),
        "TRANSPOSE": Rule(moves.transpose, (2, 2), "first"),
        "TRANSPOSE_CONV": Rule(windows.conv_transpose, (3, 4), "weights"),
        "UNPACK": Rule(moves.unstack),
    }


RULES: Mapping[str, Rule] = MappingProxyType(_rules())
"""Every operator that may be in a file."""


def read(data: Bytes, max_memory_mb: float | None = None) -> TFLiteFile:
    """A stranger's TFLite file as values, safe for LiteRT to load and run.

    Args:
        data: the file's bytes; constants are views of them.
        max_memory_mb: what it may take, in MB of 10^6 bytes; None for a file of this program's own making.

    Raises:
        ModelError: damaged, an index, size, shape, type, scale or operator that cannot be, or more memory than allowed.
    """
    file = parse(data)
    calls = _calls(file.graph)
    for call in calls:
        _check(call)
    if max_memory_mb is not None:
        _check_memory(file.graph, calls, max_memory_mb)
    return file


def _calls(graph: TFLiteGraph) -> tuple[Call, ...]:
    """The operators with their tensors, each of which is a constant, an input, or given once before it is read."""
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
        Call(op, tuple(None if i < 0 else tensors[i] for i in op.inputs), tuple(tensors[i] for i in op.outputs))
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


def _check(call: Call) -> None:
    rule, count = RULES.get(call.op.code), len(call.inputs)
    if rule is None:
        raise ModelError(
            f"the TFLite operator {call.op.code} is not among those that are run here", mend="Custom operators never are."
        )
    call.require(rule.inputs[0] <= count <= rule.inputs[1], f"it has {count} inputs")
    call.activation()
    found, declared = rule.shapes(call), tuple(tensor.shape for tensor in call.outputs)
    call.require(found == declared, f"it gives {_text(found)}, where the file says {_text(declared)}")
    call.require(_types_fit(call, rule), "its element types do not fit each other")
    for tensor in (*call.outputs, *(tensor for tensor in call.inputs if tensor is not None)):
        _check_scale(tensor)
    _check_ratio(call)


def _text(shapes: tuple[Shape, ...]) -> str:
    return ", ".join("x".join(map(str, shape)) or "one number" for shape in shapes[:4])


def _types_fit(call: Call, rule: Rule) -> bool:
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
    """What is computed must have elements; integers of one to two bytes need scales that can be."""
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


def _check_ratio(call: Call) -> None:
    """LiteRT's integer kernels abort, or divide by zero, where scales lie far from each other."""
    after = call.outputs[0]
    if after.dtype not in _QUANTIZED or RULES[call.op.code].types == "weights":
        return
    for before in call.inputs:
        if before is not None and before.dtype in _QUANTIZED:
            ratio = float(before.scale.max()) / float(after.scale[0])
            call.require(ratio < _RATIO, f"its scales {before.scale.max():g} and {after.scale[0]:g} lie too far apart")


def _check_memory(graph: TFLiteGraph, calls: tuple[Call, ...], limit: float) -> None:
    found = memory(graph, calls) / 1e6
    if found > limit:
        raise ModelError(
            f"the TFLite file would take about {found:,.0f} MB of memory, more than the {limit:,.0f} MB that are allowed",
            mend="If that is meant, allow more with --max-memory-mb.",
        )


def memory(graph: TFLiteGraph, calls: tuple[Call, ...]) -> int:
    """Bytes that loading and running a file takes at least: constants, the maps alive at once, and kernels' own tables."""
    last = {index: place for place, op in enumerate(graph.operators) for index in (*op.inputs, *op.outputs)}
    last |= {index: len(calls) for index in graph.outputs}
    sizes = [prod(tensor.shape) * tensor.dtype.itemsize for tensor in graph.tensors]
    ends: dict[int, int] = {}
    for index, place in last.items():
        ends[place] = ends.get(place, 0) + (sizes[index] if graph.tensors[index].data is None and index >= 0 else 0)
    alive = peak = sum(sizes[index] for index in set(graph.inputs))
    for place, op in enumerate(graph.operators):
        alive += sum(sizes[index] for index in op.outputs)
        peak = max(peak, alive)
        alive -= ends.get(place, 0)
    constants = sum(size for size, tensor in zip(sizes, graph.tensors, strict=True) if tensor.data is not None)
    return constants + peak + sum(map(windows.pointers, calls)) + max(map(windows.copies, calls), default=0)
