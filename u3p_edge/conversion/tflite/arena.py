"""When each map of a TFLite file is alive, for the plan of its arena (`u3p_edge.graph.memory`)."""

from __future__ import annotations

import math

from u3p_edge.conversion.tflite.schema import TFLiteGraph
from u3p_edge.graph.memory import ALIGNMENT, Life


def list_lives(file: TFLiteGraph) -> tuple[Life, ...]:
    """Return every map with its aligned bytes and its lifetime, named by its index; what a RESHAPE gives shares its source."""
    owner = {index: index for index in file.inputs}
    spans = dict.fromkeys(file.inputs, (0, 0))
    for position, op in enumerate(file.operators):
        for index in (index for index in op.inputs if index in owner):
            spans[owner[index]] = (spans[owner[index]][0], position)
        for index in op.outputs:
            owner[index] = owner.get(op.inputs[0], index) if op.code == "RESHAPE" else index
            spans.setdefault(owner[index], (position, position))
    for index in file.outputs:
        spans[owner[index]] = (spans[owner[index]][0], len(file.operators) - 1)
    return tuple(Life(str(index), _aligned(file, index), first, last) for index, (first, last) in spans.items())


def _aligned(file: TFLiteGraph, index: int) -> int:
    tensor = file.tensors[index]
    return -(-math.prod(tensor.shape) * tensor.dtype.itemsize // ALIGNMENT) * ALIGNMENT
