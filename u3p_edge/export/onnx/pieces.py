"""Building blocks of every operator in the int8 ONNX file: stored integers, real values, constants.

Every map has two names: `stored` for its integers (uint8, NCHW) and `real` for the values that they represent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from u3p_edge.errors import ModelError
from u3p_edge.export.tflite.schema import Operator, Tensor, TFLiteGraph

TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True)
class Emission:
    """What one operator becomes: ONNX nodes in order and the constants they need."""

    nodes: tuple[onnx.NodeProto, ...] = ()
    constants: tuple[onnx.TensorProto, ...] = ()

    def __add__(self, other: Emission) -> Emission:
        return Emission(self.nodes + other.nodes, self.constants + other.constants)


def transpose(source: str, target: str, order: Sequence[int]) -> Emission:
    return Emission((helper.make_node("Transpose", [source], [target], perm=list(order)),))


def stored(tensor: int) -> str:
    """Return the name of a tensor as it is in memory: its integers, if it is quantized."""
    return f"q{tensor}"


def real(tensor: int) -> str:
    """Return the name of the same tensor's real values."""
    return f"t{tensor}"


def store(tensor: Tensor, source: str, index: int) -> Emission:
    """Quantize a computed map to its integers, and dequantize them to its real values."""
    kept = unsigned(tensor)
    return quantize(kept, source, stored(index)) + dequantize(kept, stored(index), real(index))


def unsigned(tensor: Tensor) -> Tensor:
    """Return the same values as uint8, with integers and zero point 128 higher, if they are int8."""
    if tensor.dtype != np.int8:
        return tensor
    data = None if tensor.data is None else (tensor.data.astype(np.int16) + 128).astype(np.uint8)
    return dataclasses.replace(tensor, dtype=np.dtype(np.uint8), zero_point=tensor.zero_point + 128, data=data)


def constant(name: str, value: npt.NDArray[Any] | np.generic) -> onnx.TensorProto:
    return numpy_helper.from_array(np.asarray(value), name)


def _scales(tensor: Tensor, prefix: str) -> tuple[onnx.TensorProto, onnx.TensorProto]:
    """Return scale and zero point as constants: scalars for a tensor with one scale, vectors for one scale per channel."""
    scale: npt.NDArray[Any] = tensor.scale if tensor.scale.size > 1 else tensor.scale.reshape(())
    zero = tensor.zero_point.astype(tensor.dtype).reshape(scale.shape)
    return constant(f"{prefix}_scale", scale), constant(f"{prefix}_zero", zero)


def quantize(tensor: Tensor, source: str, target: str) -> Emission:
    if not tensor.scale.size:
        return Emission((helper.make_node("Identity", [source], [target]),))
    scale, zero = _scales(tensor, target)
    return Emission((helper.make_node("QuantizeLinear", [source, scale.name, zero.name], [target]),), (scale, zero))


def dequantize(tensor: Tensor, source: str, target: str, axis: int | None = None) -> Emission:
    if not tensor.scale.size:
        return Emission((helper.make_node("Identity", [source], [target]),))
    scale, zero = _scales(tensor, target)
    attributes = {} if axis is None or tensor.scale.size == 1 else {"axis": axis}
    return Emission(
        (helper.make_node("DequantizeLinear", [source, scale.name, zero.name], [target], **attributes),), (scale, zero)
    )


def operand(graph: TFLiteGraph, tensor: int, index: int, position: int) -> tuple[str, Emission]:
    """Return the float value of an operator's input: an activation, or a constant arranged for broadcasting in NCHW."""
    value, name = unsigned(graph.tensors[tensor]), f"x{index}_{position}"
    if value.data is None:
        return real(tensor), Emission()
    data = in_nchw(value.data, graph, graph.operators[index])
    return name, Emission(constants=(constant(f"{name}_q", data),)) + dequantize(value, f"{name}_q", name)


def in_nchw(data: npt.NDArray[Any], graph: TFLiteGraph, op: Operator) -> npt.NDArray[Any]:
    """Rearrange a constant that is combined with an operator's NHWC maps, so that it fits the same maps in NCHW."""
    if len(graph.tensors[op.outputs[0]].shape) != 4 or data.size == 1:
        return data
    return np.transpose(data.reshape((1,) * (4 - data.ndim) + data.shape), TO_NCHW)


def channel_axis(axis: int, rank: int) -> int:
    """Return the NCHW axis of an NHWC axis; tensors of other ranks keep their axes."""
    axis %= rank
    return TO_NCHW.index(axis) if rank == 4 else axis


def operands(graph: TFLiteGraph, op: Operator, index: int) -> tuple[list[str], Emission]:
    pairs = [_broadcast(graph, tensor, op, index, position) for position, tensor in enumerate(op.inputs) if tensor >= 0]
    return [name for name, _ in pairs], sum((emission for _, emission in pairs), Emission())


def _broadcast(graph: TFLiteGraph, tensor: int, op: Operator, index: int, position: int) -> tuple[str, Emission]:
    """Return an operand; one whose last axis is aligned with a map's channels becomes [N, C, 1, 1], to be so in NCHW too."""
    name, emission = operand(graph, tensor, index, position)
    shape = graph.tensors[tensor].shape
    meets_map = len(graph.tensors[op.outputs[0]].shape) == 4 and len(shape) < 4 and op.code != "CONCATENATION"
    if not meets_map or graph.tensors[tensor].data is not None:
        return name, emission
    wide = f"x{index}_{position}_wide"
    nchw = np.asarray([int(np.prod(shape[:-1])), *shape[-1:], 1, 1], np.int64)
    node = helper.make_node("Reshape", [name, f"{wide}_shape"], [wide])
    return wide, emission + Emission((node,), (constant(f"{wide}_shape", nchw),))


def data_of(tensor: Tensor) -> npt.NDArray[Any]:
    if tensor.data is None:
        raise ModelError(f"the TFLite tensor {tensor.name!r} was expected to be constant")
    return tensor.data
