"""Checks of an exported file that hold whatever it computes: names, types, and integers where integers were promised."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from u3p_edge.conversion.tflite.schema import Operator, Tensor, TFLiteGraph

if TYPE_CHECKING:
    import onnx

INTEGER_TYPES = frozenset({np.dtype(np.int8), np.dtype(np.int32), np.dtype(np.uint8)})


def tflite_faults(graph: TFLiteGraph, *, int8: bool, float_io: bool) -> tuple[str, ...]:
    """List what is wrong with a TFLite file, one sentence for each fault; empty when nothing is wrong."""
    faults = [*_name_faults([graph.tensors[i].name for i in graph.inputs], [graph.tensors[i].name for i in graph.outputs])]
    if int8:
        faults += _integer_faults(graph, float_io)
    return tuple(faults)


def onnx_faults(model: onnx.ModelProto) -> tuple[str, ...]:
    """List what is wrong with an ONNX file, one sentence for each fault; empty when nothing is wrong."""
    import onnx

    faults = [*_name_faults([i.name for i in model.graph.input], [o.name for o in model.graph.output])]
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        faults.append(f"onnx.checker refuses it: {str(error).splitlines()[0]}")
    return tuple(faults)


def _name_faults(inputs: list[str], outputs: list[str]) -> Iterator[str]:
    if inputs != ["image"]:
        yield f"its inputs are {inputs}, not ['image']"
    if outputs != ["mask"]:
        yield f"its outputs are {outputs}, not ['mask']"


def _integer_faults(graph: TFLiteGraph, float_io: bool) -> Iterator[str]:
    allowed = {*graph.inputs, *graph.outputs} if float_io else set()
    for index, tensor in enumerate(graph.tensors):
        if tensor.dtype not in INTEGER_TYPES and index not in allowed:
            yield f"the tensor {tensor.name!r} is {tensor.dtype}, not an integer"
    for op in graph.operators:
        if op.code in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            yield from _weight_faults(op, graph.tensors[op.inputs[1]])


def _is_alike(weights: Tensor, axis: int) -> bool:
    """Whether a kernel has a single scale, and the same integers in every channel."""
    if weights.scale.size != 1 or weights.data is None:
        return False
    return bool(np.all(weights.data == np.take(weights.data, [0], axis)))


def _weight_faults(op: Operator, weights: Tensor) -> Iterator[str]:
    axis = 0 if op.code == "CONV_2D" else 3
    channels = weights.shape[axis]
    # One scale is enough where all channels have the same weights, as in an interpolation.
    if weights.dtype != np.int8 or weights.scale.size != (1 if _is_alike(weights, axis) else channels):
        yield f"the weights {weights.name!r} are not int8 with one scale for each of {channels} channels"
    if np.any(weights.zero_point != 0):
        yield f"the weights {weights.name!r} are not symmetric: a zero point is not 0"
