"""The range that a slice of a TFLite file keeps on every axis, with masks, negative indices and offsets resolved."""

from __future__ import annotations

from u3p_edge.conversion.tflite.schema import Operator, TFLiteGraph
from u3p_edge.errors import ModelError

_CHANGE_RANK = ("ellipsisMask", "newAxisMask", "shrinkAxisMask")


def cut_operator(graph: TFLiteGraph, op: Operator) -> tuple[tuple[int, int], ...]:
    """Return, for every axis, the first index that a STRIDED_SLICE or SLICE keeps and one past the last.

    Raises:
        ModelError: for steps other than 1, for axes that are added or removed, and for positions that are not constant.
    """
    shape = graph.tensors[op.inputs[0]].shape
    starts, end, *steps = (_positions(graph, op, index) for index in op.inputs[1:])
    if any(set(step) != {1} for step in steps) or any(op.options.get(key) for key in _CHANGE_RANK):
        raise ModelError(f"the TFLite operator {op.code} has steps other than 1, or changes the rank")
    if op.code == "SLICE" or op.options.get("offset"):
        end = [size if length == -1 else first + length for first, length, size in zip(starts, end, shape, strict=True)]
    firsts, lasts = _unless(op, "beginMask", starts), _unless(op, "endMask", end)
    return tuple(slice(first, last).indices(size)[:2] for first, last, size in zip(firsts, lasts, shape, strict=True))


def _positions(graph: TFLiteGraph, op: Operator, index: int) -> list[int]:
    data = graph.tensors[index].data
    if data is None:
        raise ModelError(f"the TFLite operator {op.code} has positions that are computed")
    return [int(position) for position in data]


def _unless(op: Operator, mask: str, positions: list[int]) -> list[int | None]:
    """Return the positions, with None where a bit of the mask is set: there the slice starts or ends at the border."""
    bits = int(op.options.get(mask, 0))
    return [None if bits >> axis & 1 else position for axis, position in enumerate(positions)]
