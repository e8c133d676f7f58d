"""A layout pass that gives fused interpolated sums smaller address tables, and its inverse. The results are the same.

XNNPACK keeps 8 bytes for every tap at every output pixel of a depthwise convolution, once for all images and once for all
channels (see `layout_ops`): 4.7 MB for nine taps and a map of 256x256. `lower_interpolated` writes these operators, between two
RESHAPEs:

    RESHAPE ─► [1, k H, W, C] or [1, H, k W, C] ─ STRIDED_SLICE, DEPTHWISE_CONV_2D, CONCATENATION ─► RESHAPE

The RESHAPEs can go to any shape at no cost, so the operators between them get one that needs a smaller table:

    along rows       every column is treated alike: neighbouring columns become channels, [1, k H, W / g, g C]
    along columns    every row is treated alike: rows become images of a batch, [H, 1, k W, C]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.export.slicing import cut_operator
from u3p_edge.export.tflite.layout_ops import ADDRESS, TABLE_FROM
from u3p_edge.export.tflite.pieces import VALID
from u3p_edge.export.tflite.schema import Operator, Tensor, TFLiteGraph
from u3p_edge.graph.ops import Shape

KERNEL = 13
"""Bytes that XNNPACK keeps, in every operator, for a channel of nine taps and its bias."""

_INSIDE = ("STRIDED_SLICE", "DEPTHWISE_CONV_2D", "CONCATENATION")


@dataclass(frozen=True)
class _Sum:
    """One fused interpolated sum in a file.

    Args:
        entry: index of the RESHAPE before it.
        inside: indices of its operators.
        maps: tensors that the RESHAPE and these operators write.
        taps: k.
        along_rows: whether it interpolates along rows.
        source: number of channels of the tensor that the RESHAPE reads.
    """

    entry: int
    inside: tuple[int, ...]
    maps: frozenset[int]
    taps: int
    along_rows: bool
    source: int


_Shapes = Callable[[Shape], Shape]


def pack_phases(file: TFLiteGraph) -> TFLiteGraph:
    """Return the file with the smaller layout of every sum whose tables are large, without constants that nothing reads."""
    for one in tuple(_sums(file)):
        first = file.tensors[file.operators[one.entry].outputs[0]].shape
        if first[0] != 1 or _table(file, one) < TABLE_FROM:
            continue
        if one.along_rows:
            columns = _fewest_bytes(file, one)
            file = _relabelled(file, one, _with_channels(columns), columns * first[3])
        else:
            file = _relabelled(file, one, _as_images, first[3])
    return _without_unread(file)


def unpack_phases(file: TFLiteGraph) -> TFLiteGraph:
    """Undo `pack_phases`: every sum works on one image again, with the channels of its original map."""
    for one in tuple(_sums(file)):
        first = file.tensors[file.operators[one.entry].outputs[0]].shape
        if first[0] > 1 and not one.along_rows:
            file = _relabelled(file, one, lambda shape: (1, shape[0] * shape[1], *shape[2:]), first[3])
        elif one.along_rows and first[3] > one.source and first[3] % one.source == 0 and _is_periodic(file, one):
            columns = first[3] // one.source
            file = _relabelled(file, one, _without_channels(columns), one.source)
    return file


def _with_channels(columns: int) -> _Shapes:
    return lambda shape: (1, shape[1], shape[2] // columns, shape[3] * columns)


def _without_channels(columns: int) -> _Shapes:
    return lambda shape: (1, shape[1], shape[2] * columns, shape[3] // columns)


def _as_images(shape: Shape) -> Shape:
    return (shape[1], 1, *shape[2:])


def _sums(file: TFLiteGraph) -> Iterator[_Sum]:
    readers: dict[int, list[int]] = {}
    for place, op in enumerate(file.operators):
        for index in op.inputs:
            readers.setdefault(index, []).append(place)
    for place, op in enumerate(file.operators):
        found = _found(file, readers, place) if op.code == "RESHAPE" and len(file.tensors[op.outputs[0]].shape) == 4 else None
        if found is not None:
            yield found


def _found(file: TFLiteGraph, readers: Mapping[int, list[int]], entry: int) -> _Sum | None:
    """Return the sum that follows a RESHAPE; None where something else follows."""
    maps, inside = [file.operators[entry].outputs[0]], set[int]()
    for index in maps:
        if index in file.outputs:
            return None
        for place in readers.get(index, ()):
            op = file.operators[place]
            if op.code == "RESHAPE" or place in inside:
                continue
            if op.code not in _INSIDE:
                return None
            inside.add(place)
            maps.append(op.outputs[0])
    places = tuple(sorted(inside))
    mixing = [file.operators[place] for place in places if file.operators[place].code == "DEPTHWISE_CONV_2D"]
    given = {i for place in places for i in file.operators[place].inputs if i >= 0 and file.tensors[i].data is None}
    if not mixing or not given <= set(maps):
        return None
    kernels = [file.tensors[op.inputs[1]].shape for op in mixing]
    along_rows = all(kernel[2] == 1 for kernel in kernels)
    across, along = (2, 1) if along_rows else (1, 2)
    taps = int(mixing[0].options["strideH" if along_rows else "strideW"])
    if not all(_is_ours(op, taps, along_rows) for op in mixing) or any(k[along] % taps or k[across] != 1 for k in kernels):
        return None
    one = _Sum(entry, places, frozenset(maps), taps, along_rows, file.tensors[file.operators[entry].inputs[0]].shape[-1])
    return one if all(_moves_alike(file, file.operators[place], one) for place in places) else None


def _is_ours(op: Operator, taps: int, along_rows: bool) -> bool:
    along, across = ("strideH", "strideW") if along_rows else ("strideW", "strideH")
    ones = (across, "dilationHFactor", "dilationWFactor", "depthMultiplier")
    return op.options[along] == taps and op.options["padding"] == VALID and all(op.options[key] == 1 for key in ones)


def _moves_alike(file: TFLiteGraph, op: Operator, one: _Sum) -> bool:
    """Whether an operator that only moves values does the same to all columns, or to all rows."""
    if op.code == "CONCATENATION":
        return op.options["axis"] % 4 in ((1, 2) if one.along_rows else (2, 3))
    if op.code == "STRIDED_SLICE":
        whole, spans = file.tensors[op.inputs[0]].shape, cut_operator(file, op)
        free = 1 if one.along_rows else 2
        return all(span == (0, size) for axis, (span, size) in enumerate(zip(spans, whole, strict=True)) if axis != free)
    return True


def _table(file: TFLiteGraph, one: _Sum) -> int:
    """Return the bytes of the address tables of all convolutions of a sum."""
    return sum(
        ADDRESS * math.prod(file.tensors[op.inputs[1]].shape[1:3]) * math.prod(file.tensors[op.outputs[0]].shape[1:3])
        for op in _mixing(file, one)
    )


def _mixing(file: TFLiteGraph, one: _Sum) -> list[Operator]:
    return [file.operators[place] for place in one.inside if file.operators[place].code == "DEPTHWISE_CONV_2D"]


def _fewest_bytes(file: TFLiteGraph, one: _Sum) -> int:
    """Return how many columns to treat as channels, so that tables and kernels together are smallest."""
    _, _, width, channels = file.tensors[file.operators[one.entry].outputs[0]].shape
    table, kernels = _table(file, one), KERNEL * channels * len(_mixing(file, one))
    return min((n for n in range(1, width + 1) if width % n == 0), key=lambda n: table / n + kernels * n)


def _is_periodic(file: TFLiteGraph, one: _Sum) -> bool:
    """Whether all constants of a sum treat the channels of neighbouring columns alike."""
    constants = [file.tensors[index] for op in _mixing(file, one) for index in op.inputs[1:]]
    arrays = [tensor.data for tensor in constants if tensor.data is not None]
    arrays += [tensor.scale for tensor in constants if tensor.scale.size > 1]
    return all(np.array_equal(array, _for_channels(_for_channels(array, one.source), array.shape[-1])) for array in arrays)


def _for_channels(values: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """Return the values for so many channels: those of each channel repeated, or those of the first channels alone."""
    times = -(-channels // values.shape[-1])
    return np.ascontiguousarray(np.tile(values, times)[..., :channels])


def _relabelled(file: TFLiteGraph, one: _Sum, shapes: _Shapes, channels: int) -> TFLiteGraph:
    """Return the file with the sum's maps in other shapes, and with its kernels for that number of channels."""
    tensors = [replace(t, shape=shapes(t.shape)) if i in one.maps else t for i, t in enumerate(file.tensors)]
    operators = list(file.operators)

    def add(tensor: Tensor) -> int:
        tensors.append(tensor)
        return len(tensors) - 1

    def positions(index: int, values: Any) -> int:
        data = np.asarray(values, np.int32)
        return add(replace(file.tensors[index], shape=data.shape, data=data))

    def widened(index: int) -> int:
        tensor = file.tensors[index]
        assert tensor.data is not None, "a kernel is constant"
        data = _for_channels(tensor.data, channels)
        scale = _for_channels(tensor.scale, channels) if tensor.scale.size > 1 else tensor.scale
        zeros = np.zeros(scale.size, np.int64)
        return add(replace(tensor, shape=data.shape, data=data, scale=scale, zero_point=zeros))

    for place in (one.entry, *one.inside):
        op = operators[place]
        shape = tensors[op.outputs[0]].shape
        if op.code == "RESHAPE":
            inputs: tuple[int, ...] = (op.inputs[0], positions(op.inputs[1], shape))
            operators[place] = replace(op, inputs=inputs, options={**op.options, "newShape": np.asarray(shape, np.int32)})
        elif op.code == "STRIDED_SLICE":
            free, spans = (1 if one.along_rows else 2), cut_operator(file, op)
            begin = [spans[axis][0] if axis == free else 0 for axis in range(4)]
            end = [first + size for first, size in zip(begin, shape, strict=True)]
            inputs = (op.inputs[0], positions(op.inputs[1], begin), positions(op.inputs[2], end), *op.inputs[3:])
            operators[place] = replace(op, inputs=inputs, options={k: v for k, v in op.options.items() if "Mask" not in k})
        elif op.code == "DEPTHWISE_CONV_2D":
            operators[place] = replace(op, inputs=(op.inputs[0], *map(widened, op.inputs[1:])))
    return replace(file, tensors=tuple(tensors), operators=tuple(operators))


def _without_unread(file: TFLiteGraph) -> TFLiteGraph:
    """Merge equal constants into one, and remove constants that nothing reads; the maps keep their order."""
    used = {i for op in file.operators for i in (*op.inputs, *op.outputs) if i >= 0} | {*file.inputs, *file.outputs}
    first: dict[object, int] = {}
    same = {i: first.setdefault(content(file.tensors[i], i), i) for i in sorted(used)}
    kept = sorted(set(same.values()))
    number = {index: place for place, index in enumerate(kept)}

    def at(index: int) -> int:
        return index if index < 0 else number[same[index]]

    operators = (replace(op, inputs=tuple(map(at, op.inputs)), outputs=tuple(map(at, op.outputs))) for op in file.operators)
    ends = (tuple(map(at, which)) for which in (file.inputs, file.outputs))
    return TFLiteGraph(tuple(file.tensors[i] for i in kept), tuple(operators), *ends)


def content(tensor: Tensor, own: object = None) -> object:
    """Return a key that equal constants share; a map is equal to no other tensor, and its key is `own`."""
    if tensor.data is None:
        return own
    values = (array.tobytes() for array in (tensor.data, tensor.scale, tensor.zero_point))
    return tensor.shape, tensor.dtype.str, tensor.axis, *values
