"""A TFLite file as values: tensors, operators, and what is stamped into it.

Read with the schema module that LiteRT ships; nothing here runs a model. Only what the int8 exporter and the
verification need is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from u3p_edge.config import METADATA_KEY, Metadata
from u3p_edge.errors import ModelError

IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""Bytes, of every constant in the file."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a TFLite graph.

    Args:
        name: as in the file.
        shape: NHWC for maps, OHWI for convolution kernels.
        dtype: of its elements.
        data: its constant value, or None for an activation.
        scale: float32 [n], empty for a tensor that is not quantized; n > 1 means per channel along `axis`.
        zero_point: int64 [n].
        axis: of the per-channel scales.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    data: npt.NDArray[Any] | None
    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    axis: int


@dataclass(frozen=True)
class Operator:
    """One operator: its builtin name (e.g. "CONV_2D"), tensor indices (-1 = absent) and its options by name."""

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]


@dataclass(frozen=True)
class TFLiteGraph:
    """The one subgraph of a TFLite file; `inputs` and `outputs` are tensor indices."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


_DTYPES: Mapping[int, np.dtype[Any]] = {
    schema.TensorType.FLOAT32: np.dtype(np.float32),
    schema.TensorType.FLOAT16: np.dtype(np.float16),
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.INT16: np.dtype(np.int16),
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.INT64: np.dtype(np.int64),
    schema.TensorType.BOOL: np.dtype(np.bool_),
}
_CODES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}


def read(data: bytes) -> TFLiteGraph:
    """The graph of a TFLite file. Raises ModelError when it is none of ours (several subgraphs, unknown types)."""
    model = _unpack(data)
    if len(model.subgraphs) != 1:
        raise ModelError(f"the TFLite file has {len(model.subgraphs)} subgraphs, one was expected")
    graph = model.subgraphs[0]
    return TFLiteGraph(
        tensors=tuple(_tensor(model, tensor) for tensor in graph.tensors),
        operators=tuple(_operator(model, op) for op in graph.operators),
        inputs=tuple(int(i) for i in graph.inputs),
        outputs=tuple(int(i) for i in graph.outputs),
    )


def stamp(data: bytes, metadata: Metadata) -> bytes:
    """The same model with input `image`, output `mask` (tensors and signature) and our metadata inside."""
    return to_bytes(stamped(_unpack(data), metadata))


def stamped(model: schema.ModelT, metadata: Metadata) -> schema.ModelT:
    """`stamp` for a model that is unpacked; the model itself is changed."""
    graph = model.subgraphs[0]
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"the TFLite file has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, one of each was expected"
        )
    graph.tensors[graph.inputs[0]].name = b"image"
    graph.tensors[graph.outputs[0]].name = b"mask"
    model.signatureDefs = [signature({"image": int(graph.inputs[0])}, {"mask": int(graph.outputs[0])})]
    model.description = f"u3p_edge {metadata.version}".encode()
    return _with_metadata(model, metadata.to_json().encode())


def signature(inputs: Mapping[str, int], outputs: Mapping[str, int]) -> schema.SignatureDefT:
    """The signature `serving_default`: tensor indices by name."""

    def entry(name: str, index: int) -> schema.TensorMapT:
        value = schema.TensorMapT()
        value.name, value.tensorIndex = name.encode(), index
        return value

    result = schema.SignatureDefT()
    result.signatureKey, result.subgraphIndex = b"serving_default", 0
    result.inputs, result.outputs = [entry(*port) for port in inputs.items()], [entry(*port) for port in outputs.items()]
    return result


def _with_metadata(model: schema.ModelT, payload: bytes) -> schema.ModelT:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(payload, dtype=np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = METADATA_KEY.encode(), len(model.buffers)
    model.buffers = [*model.buffers, buffer]
    model.metadata = [*(m for m in model.metadata or [] if m.name != METADATA_KEY.encode()), entry]
    return model


def _unpack(data: bytes) -> schema.ModelT:
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise ModelError("the file is not a TFLite model (its identifier is missing)")
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))


def to_bytes(model: schema.ModelT) -> bytes:
    """The file of an unpacked model, constants aligned as the schema asks."""
    builder = flatbuffers.Builder(1 << 20)
    model.buffers = [_Aligned(buffer.data, buffer.offset, buffer.size) for buffer in model.buffers]
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


class _Aligned(schema.BufferT):  # type: ignore[misc]
    """A buffer whose bytes start at a multiple of 16: the generated code forgets the schema's `force_align`."""

    def Pack(self, builder: flatbuffers.Builder) -> int:
        data = None if self.data is None else _aligned_vector(builder, np.asarray(self.data, np.uint8))
        schema.BufferStart(builder)
        if data is not None:
            schema.BufferAddData(builder, data)
        schema.BufferAddOffset(builder, self.offset)
        schema.BufferAddSize(builder, self.size)
        return int(schema.BufferEnd(builder))


def _aligned_vector(builder: flatbuffers.Builder, data: npt.NDArray[np.uint8]) -> int:
    builder.StartVector(1, data.size, ALIGNMENT)
    builder.head -= data.size
    builder.Bytes[builder.head : builder.head + data.size] = data.tobytes()
    return int(builder.EndVector())


def _tensor(model: schema.ModelT, tensor: schema.TensorT) -> Tensor:
    dtype = _DTYPES.get(tensor.type)
    name = tensor.name.decode()
    if dtype is None:
        raise ModelError(f"the TFLite tensor {name!r} has an element type that is not supported ({tensor.type})")
    shape = tuple(int(n) for n in tensor.shape) if tensor.shape is not None else ()
    raw = model.buffers[tensor.buffer].data
    constant = None if raw is None or len(raw) == 0 else np.frombuffer(bytes(raw), dtype=dtype).reshape(shape)
    quantization = tensor.quantization
    scale = [] if quantization is None or quantization.scale is None else quantization.scale
    zero = [] if quantization is None or quantization.zeroPoint is None else quantization.zeroPoint
    axis = 0 if quantization is None else int(quantization.quantizedDimension)
    return Tensor(name, shape, dtype, constant, np.asarray(scale, np.float32), np.asarray(zero, np.int64), axis)


def _operator(model: schema.ModelT, op: schema.OperatorT) -> Operator:
    code = model.operatorCodes[op.opcodeIndex]
    # Old files keep small codes in the deprecated one-byte field.
    number = max(int(code.builtinCode), int(code.deprecatedBuiltinCode))
    options = {} if op.builtinOptions is None else vars(op.builtinOptions)
    return Operator(_CODES[number], tuple(int(i) for i in op.inputs), tuple(int(i) for i in op.outputs), options)
