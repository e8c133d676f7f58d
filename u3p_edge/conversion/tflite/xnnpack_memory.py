"""Estimate how much memory XNNPACK needs to run a TFLite file, from the way XNNPACK plans it.

This is more or less than an ideal arena, depending on how the network is cut. XNNPACK keeps the maps between operators in a
workspace of its own, placed greedily by size like TensorFlow Lite's arena. It treats a RESHAPE as a copy, and writes a sum over
an operand that nothing else reads. Kernels are packed again for every operator, and an operator with its tensor takes some
kilobytes. (Derived from the allocations of LiteRT 2.3 for networks of 3 to 8 tiles of rows: of seven workspaces, five agreed to
the byte except for padding, one to 1 %, one to 4 %.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from u3p_edge.conversion.tflite.layout_ops import ADDRESS
from u3p_edge.conversion.tflite.schema import Operator, TFLiteGraph
from u3p_edge.graph.memory import ALIGNMENT, Life, offsets

OPERATOR = 3_100
"""Bytes that LiteRT and XNNPACK keep for an operator and its tensor, without weights and address tables."""

_IN_PLACE = ("ADD", "SUB")
_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")


def estimate_memory(file: TFLiteGraph) -> int:
    """Return the bytes of the workspace, the packed kernels, the address tables and the operators together."""
    packed = sum(_constants(file, op) + _addresses(file, op) for op in file.operators if op.code in _CONVOLUTIONS)
    return estimate_workspace(file) + packed + OPERATOR * len(file.operators)


def estimate_workspace(file: TFLiteGraph) -> int:
    """Return the bytes of the maps between operators; the file's inputs and outputs are stored elsewhere."""
    lives = tuple(_lives(file))
    placed = offsets(lives)
    return max((placed[life.name] + life.bytes for life in lives), default=0)


def _lives(file: TFLiteGraph) -> Iterator[Life]:
    outside = {*file.inputs, *file.outputs}
    readers: dict[int, list[int]] = {}
    for step, op in enumerate(file.operators):
        for index in op.inputs:
            readers.setdefault(index, []).append(step)
    owner: dict[int, int] = {}
    spans: dict[int, tuple[int, int]] = {}
    for step, op in enumerate(file.operators):
        for index in op.outputs:
            if index in outside:
                continue
            buffer = next((owner[i] for i in op.inputs if i in owner and _may_hold(file, readers, i, index, op)), index)
            owner[index] = buffer
            last = max((step, *readers.get(index, ())))
            first, before = spans.get(buffer, (step, step))
            spans[buffer] = (first, max(before, last))
    for index, (first, last) in spans.items():
        size = _bytes(file, index)
        yield Life(str(index), -(-size // ALIGNMENT) * ALIGNMENT, first, last)


def _may_hold(file: TFLiteGraph, readers: dict[int, list[int]], operand: int, output: int, op: Operator) -> bool:
    """Whether an operator writes its output over an operand."""
    return op.code in _IN_PLACE and len(readers[operand]) == 1 and _bytes(file, operand) == _bytes(file, output)


def _bytes(file: TFLiteGraph, index: int) -> int:
    tensor = file.tensors[index]
    return math.prod(tensor.shape) * tensor.dtype.itemsize


def _constants(file: TFLiteGraph, op: Operator) -> int:
    return sum(_bytes(file, index) for index in op.inputs if index >= 0 and file.tensors[index].data is not None)


def _addresses(file: TFLiteGraph, op: Operator) -> int:
    """Return the bytes of a convolution's address table: an address for every tap at every pixel of an image.

    A kernel of a single tap has no table.
    """
    taps = math.prod(file.tensors[op.inputs[1]].shape[1:3])
    return ADDRESS * taps * math.prod(file.tensors[op.outputs[0]].shape[1:3]) if taps > 1 else 0
