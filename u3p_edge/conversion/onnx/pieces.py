"""Building blocks of every operator in an ONNX file: stored integers, real values, constants.

Every map has two names: `stored` for its integers (uint8, NCHW) and `real` for the values that they represent. In a float
network an Identity leads from one to the other; `without_identities` removes them.
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

from u3p_edge.conversion.tflite.schema import Tensor
from u3p_edge.errors import ModelError

TO_NCHW, TO_NHWC = (0, 3, 1, 2), (0, 2, 3, 1)


@dataclass(frozen=True)
class Emission:
    """What one operator becomes: ONNX nodes in order and the constants they need."""

    nodes: tuple[onnx.NodeProto, ...] = ()
    constants: tuple[onnx.TensorProto, ...] = ()

    def __add__(self, other: Emission) -> Emission:
        return Emission(self.nodes + other.nodes, self.constants + other.constants)


def without_identities(emission: Emission, keep: str) -> Emission:
    """Return the same nodes without Identity nodes: what read their outputs reads their inputs; `keep` stays an output."""
    same: dict[str, str] = {}
    for node in emission.nodes:
        if node.op_type == "Identity":
            same[node.output[0]] = same.get(node.input[0], node.input[0])
    computed = same.get(keep, keep)
    nodes = []
    for node in emission.nodes:
        if node.op_type != "Identity":
            renamed = onnx.NodeProto()
            renamed.CopyFrom(node)
            renamed.input[:] = [same.get(name, name) for name in node.input]
            renamed.output[:] = [keep if name == computed else name for name in node.output]
            nodes.append(renamed)
    return Emission(tuple(nodes), emission.constants)


def transpose(source: str, target: str, order: Sequence[int]) -> Emission:
    """Return a Transpose of the axes of `source` into `order`."""
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


def to_initializer(name: str, value: npt.NDArray[Any] | np.generic) -> onnx.TensorProto:
    """Return an array as a constant of that name."""
    return numpy_helper.from_array(np.asarray(value), name)


def _scales(tensor: Tensor, prefix: str) -> tuple[onnx.TensorProto, onnx.TensorProto]:
    """Return scale and zero point as constants: scalars for a tensor with one scale, vectors for one scale per channel."""
    scale: npt.NDArray[Any] = tensor.scale if tensor.scale.size > 1 else tensor.scale.reshape(())
    zero = tensor.zero_point.astype(tensor.dtype).reshape(scale.shape)
    return to_initializer(f"{prefix}_scale", scale), to_initializer(f"{prefix}_zero", zero)


def quantize(tensor: Tensor, source: str, target: str) -> Emission:
    """Return what turns real numbers into the integers of a tensor; a copy where it has no scale."""
    if not tensor.scale.size:
        return Emission((helper.make_node("Identity", [source], [target]),))
    scale, zero = _scales(tensor, target)
    return Emission((helper.make_node("QuantizeLinear", [source, scale.name, zero.name], [target]),), (scale, zero))


def dequantize(tensor: Tensor, source: str, target: str, axis: int | None = None) -> Emission:
    """Return what turns the integers of a tensor into real numbers, per channel of `axis`; a copy where it has no scale."""
    if not tensor.scale.size:
        return Emission((helper.make_node("Identity", [source], [target]),))
    scale, zero = _scales(tensor, target)
    attributes = {} if axis is None or tensor.scale.size == 1 else {"axis": axis}
    return Emission(
        (helper.make_node("DequantizeLinear", [source, scale.name, zero.name], [target], **attributes),), (scale, zero)
    )


def channel_axis(axis: int, rank: int) -> int:
    """Return the NCHW axis of an NHWC axis; tensors of other ranks keep their axes."""
    axis %= rank
    return TO_NCHW.index(axis) if rank == 4 else axis


def data_of(tensor: Tensor) -> npt.NDArray[Any]:
    """Return the values of a constant. Raises ModelError for any other tensor."""
    if tensor.data is None:
        raise ModelError(f"the TFLite tensor {tensor.name!r} was expected to be constant")
    return tensor.data
