"""Write a TFLite graph as the bytes of a file: the inverse of `parse_tflite` in this package's `schema`. No TensorFlow.

Every operator gets the lowest version whose kernel can run it, so that old runtimes accept every file that they can run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from u3p_edge.config.metadata import Metadata
from u3p_edge.conversion.tflite import schema as flatbuffer
from u3p_edge.conversion.tflite.schema import Operator, Tensor, TFLiteGraph

_TYPES: Mapping[np.dtype[np.generic], int] = MappingProxyType(
    {
        np.dtype(np.float32): schema.TensorType.FLOAT32,
        np.dtype(np.int8): schema.TensorType.INT8,
        np.dtype(np.int32): schema.TensorType.INT32,
        np.dtype(np.uint8): schema.TensorType.UINT8,
        np.dtype(np.bool_): schema.TensorType.BOOL,
    }
)
_OPTIONS = MappingProxyType(
    {
        "CONV_2D": "Conv2DOptions",
        "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
        "TRANSPOSE_CONV": "TransposeConvOptions",
        "FULLY_CONNECTED": "FullyConnectedOptions",
        "MAX_POOL_2D": "Pool2DOptions",
        "AVERAGE_POOL_2D": "Pool2DOptions",
        "RESIZE_BILINEAR": "ResizeBilinearOptions",
        "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
        "CONCATENATION": "ConcatenationOptions",
        "ADD": "AddOptions",
        "SUB": "SubOptions",
        "MUL": "MulOptions",
        "MAXIMUM": "MaximumMinimumOptions",
        "MINIMUM": "MaximumMinimumOptions",
        "SOFTMAX": "SoftmaxOptions",
        "ARG_MAX": "ArgMaxOptions",
        "CAST": "CastOptions",
        "GREATER_EQUAL": "GreaterEqualOptions",
        "STRIDED_SLICE": "StridedSliceOptions",
        "SLICE": "SliceOptions",
        "PAD": "PadOptions",
        "SPACE_TO_DEPTH": "SpaceToDepthOptions",
        "DEPTH_TO_SPACE": "DepthToSpaceOptions",
        "RESHAPE": "ReshapeOptions",
        "REDUCE_MAX": "ReducerOptions",
        "MEAN": "ReducerOptions",
        "LEAKY_RELU": "LeakyReluOptions",
        "GELU": "GeluOptions",
        "EXP": "ExpOptions",
        "QUANTIZE": "QuantizeOptions",
        "DEQUANTIZE": "DequantizeOptions",
    }
)
"""The options table of each operator that has one."""

_HALF_PIXEL = 3  # the version from which both resizes have half-pixel centres
_INT8_VERSION = MappingProxyType(
    {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "RESHAPE": 1, "LEAKY_RELU": 1, "ELU": 1}
)
"""The version of int8 operators, 2 for every other one. LiteRT's ELU takes integers in its only version."""


def pack(graph: TFLiteGraph, metadata: Metadata | None) -> bytes:
    """Return the file of one graph; its signature `serving_default` names inputs and outputs as their tensors are named.

    Args:
        graph: tensors of float32, int8, int32, uint8 or bool.
        metadata: stored in the file, with input `image` and output `mask`, as `add_metadata` of this package's `schema` does;
            None leaves out both the metadata and these names.

    Raises:
        ModelError: for metadata with a graph that does not have exactly one input and one output.
    """
    model = schema.ModelT()
    model.version, model.description = 3, b"u3p_edge"
    codes = sorted({(op.code, _version(graph, op)) for op in graph.operators})
    model.operatorCodes = [_code(*code) for code in codes]
    model.buffers, buffer_indices = _buffers(graph.tensors)
    subgraph = schema.SubGraphT()
    subgraph.name = b"main"
    subgraph.tensors = [_tensor(tensor, buffer) for tensor, buffer in zip(graph.tensors, buffer_indices, strict=True)]
    subgraph.operators = [_operator(op, codes.index((op.code, _version(graph, op)))) for op in graph.operators]
    subgraph.inputs, subgraph.outputs = _indices(graph.inputs), _indices(graph.outputs)
    model.subgraphs, model.metadata = [subgraph], []
    model.signatureDefs = [flatbuffer.make_signature(_ports(graph, graph.inputs), _ports(graph, graph.outputs))]
    return flatbuffer.to_bytes(model if metadata is None else flatbuffer.with_metadata(model, metadata))


def _ports(graph: TFLiteGraph, indices: Sequence[int]) -> dict[str, int]:
    return {graph.tensors[index].name: index for index in indices}


def _version(graph: TFLiteGraph, op: Operator) -> int:
    int8 = any(graph.tensors[i].dtype == np.int8 for i in op.inputs if i >= 0)
    if op.code.startswith("RESIZE"):
        return _HALF_PIXEL
    if op.options.get("keepNumDims"):
        return 5
    if op.code == "TRANSPOSE_CONV" and (len(op.inputs) > 3 or op.options["fusedActivationFunction"]):
        return 4 if op.options["fusedActivationFunction"] else 3
    kernel = graph.tensors[op.inputs[1]].shape if op.code == "CONV_2D" else ()
    if kernel and kernel[3] != graph.tensors[op.inputs[0]].shape[3]:
        return 6  # grouped
    if int8:
        return _INT8_VERSION.get(op.code, 2)
    return (
        2 if op.code == "DEPTHWISE_CONV_2D" and (op.options["dilationWFactor"], op.options["dilationHFactor"]) != (1, 1) else 1
    )


def _code(name: str, version: int) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, name)
    # Readers older than the wide field read this one, whose highest value means: see the wide field.
    code.deprecatedBuiltinCode = min(code.builtinCode, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES)
    code.version = version
    return code


def _buffers(tensors: Sequence[Tensor]) -> tuple[list[schema.BufferT], list[int]]:
    """Return the buffers, the empty one of activations first, and each tensor's buffer index; equal constants share one."""
    known: dict[bytes, int] = {}
    buffer_indices = []
    for tensor in tensors:
        raw = b"" if tensor.data is None else np.ascontiguousarray(tensor.data).tobytes()
        buffer_indices.append(0 if tensor.data is None else known.setdefault(raw, len(known) + 1))
    filled = [schema.BufferT(data=np.frombuffer(raw, np.uint8)) for raw in known]
    return [schema.BufferT(), *filled], buffer_indices


def _tensor(tensor: Tensor, buffer: int) -> schema.TensorT:
    result = schema.TensorT()
    result.name, result.type, result.buffer = tensor.name.encode(), _TYPES[tensor.dtype], buffer
    result.shape, result.hasRank = _indices(tensor.shape), True
    if tensor.scale.size:
        quantization = schema.QuantizationParametersT()
        quantization.scale, quantization.zeroPoint = tensor.scale.astype(np.float32), tensor.zero_point.astype(np.int64)
        quantization.quantizedDimension = tensor.axis
        result.quantization = quantization
    return result


def _operator(op: Operator, code: int) -> schema.OperatorT:
    result = schema.OperatorT()
    result.opcodeIndex, result.inputs, result.outputs = code, _indices(op.inputs), _indices(op.outputs)
    kind = _OPTIONS.get(op.code)
    if kind is not None:
        result.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
        result.builtinOptions = getattr(schema, f"{kind}T")()
        for name, value in op.options.items():
            setattr(result.builtinOptions, name, value)
    return result


def _indices(values: Sequence[int]) -> npt.NDArray[np.int32]:
    return np.asarray(values, np.int32)
