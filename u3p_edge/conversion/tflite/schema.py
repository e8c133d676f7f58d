"""Read a TFLite file as values and put metadata into it, with LiteRT's own schema module. Nothing here runs a model."""

from __future__ import annotations

from collections.abc import Mapping

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from u3p_edge.config.metadata import METADATA_KEY, Metadata
from u3p_edge.errors import ModelError
from u3p_edge.files.tflite import check
from u3p_edge.files.tflite.graph import Operator, Tensor, TFLiteGraph
from u3p_edge.files.tflite.parse import IDENTIFIER

ALIGNMENT = 16
"""Every constant in the file starts at a multiple of so many bytes."""


__all__ = ["Operator", "TFLiteGraph", "Tensor", "add_metadata", "make_signature", "parse_tflite", "to_bytes", "with_metadata"]


def parse_tflite(data: bytes) -> TFLiteGraph:
    """Return the graph of a TFLite file, checked as `u3p_edge.files.tflite.check` does. Raises ModelError."""
    return check.read(data).graph


def add_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Return the same model with input `image`, output `mask` (tensors and signature) and the metadata inside."""
    return to_bytes(with_metadata(_unpack(data), metadata))


def with_metadata(model: schema.ModelT, metadata: Metadata) -> schema.ModelT:
    """Do what `add_metadata` does, for a model that is unpacked; the model itself is changed."""
    graph = model.subgraphs[0]
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"the TFLite file has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, one of each was expected"
        )
    graph.tensors[graph.inputs[0]].name = b"image"
    mask = graph.tensors[graph.outputs[0]]
    mask.name = b"mask"
    if mask.type == schema.TensorType.UINT8:  # labels: a step is a class, which TensorFlow's converter does not say
        mask.quantization = schema.QuantizationParametersT()
        mask.quantization.scale, mask.quantization.zeroPoint = np.ones(1, np.float32), np.zeros(1, np.int64)
    model.signatureDefs = [make_signature({"image": int(graph.inputs[0])}, {"mask": int(graph.outputs[0])})]
    model.description = f"u3p_edge {metadata.version}".encode()
    return _with_metadata(model, metadata.to_json().encode())


def make_signature(inputs: Mapping[str, int], outputs: Mapping[str, int]) -> schema.SignatureDefT:
    """Return the signature `serving_default`: tensor indices by name."""

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
    """Return the file of an unpacked model, with constants aligned as the schema requires."""
    builder = flatbuffers.Builder(1 << 20)
    model.buffers = [_Aligned(buffer.data, buffer.offset, buffer.size) for buffer in model.buffers]
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


class _Aligned(schema.BufferT):  # type: ignore[misc]
    """A buffer whose bytes start at a multiple of 16; the generated code ignores the schema's `force_align`."""

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
