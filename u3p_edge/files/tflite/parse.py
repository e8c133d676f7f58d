"""A TFLite file as values: tensors, operators and metadata. Every index and size in it is checked while it is read.

LiteRT verifies the offsets of the flatbuffer and trusts the rest: an operator that names tensor -1, or a constant shorter
than its shape, makes it read and write outside its memory. So a file is read here before LiteRT sees it.
"""

from __future__ import annotations

import contextlib
import mmap
import struct
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from u3p_edge.errors import ModelError
from u3p_edge.files.tflite.graph import Operator, Tensor, TFLiteFile, TFLiteGraph
from u3p_edge.files.tflite.options import OPTIONS

IDENTIFIER = b"TFL3"
MAX_ENTRIES = 1 << 16
"""Most tensors, operators, buffers and the like: twenty times as many as the largest network measured here has."""
MAX_RANK = 6
"""Most dimensions of a tensor that the kernels of LiteRT and XNNPACK take."""
MAX_ELEMENTS = (1 << 31) - 1
"""Most elements of a tensor: LiteRT's kernels count them in 32 bits."""
_NAME = 10
"""Offset of a tensor's name in its table: the generated reader gives no length without the name itself."""
_REFUSED_METADATA = (b"model_control_dependencies",)
"""Metadata entries that are refused: LiteRT parses this one as the order of operators."""

Bytes = bytes | mmap.mmap


_DTYPES: Mapping[int, np.dtype[Any]] = {
    schema.TensorType.FLOAT32: np.dtype(np.float32),
    schema.TensorType.FLOAT16: np.dtype(np.float16),
    schema.TensorType.INT8: np.dtype(np.int8),
    schema.TensorType.UINT8: np.dtype(np.uint8),
    schema.TensorType.INT16: np.dtype(np.int16),
    schema.TensorType.INT32: np.dtype(np.int32),
    schema.TensorType.INT64: np.dtype(np.int64),
    schema.TensorType.BOOL: np.dtype(np.bool_),
}
_CODES = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
_OPTIONS = {value: name for name, value in vars(schema.BuiltinOptions).items() if isinstance(value, int)}


def parse(data: Bytes) -> TFLiteFile:
    """Return the values of a file whose indices and sizes fit. `check.read` checks what its operators compute.

    Args:
        data: the file's bytes; constants are views of them.

    Raises:
        ModelError: the file is not TFLite, is damaged, or has an index out of range, a constant of another size than its shape,
            or several subgraphs.
    """
    if len(data) < 8 or data[4:8] != IDENTIFIER:
        raise ModelError("the file is not a TFLite model (its identifier is missing)")
    with _damage():
        model = schema.Model.GetRootAs(data, 0)
        _check_counts(model)
        graph = _graph(model, data)
        _check_signatures(model, graph)
        return TFLiteFile(graph, MappingProxyType(dict(_metadata(model, data))))


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Raise a ModelError for what the flatbuffers library and NumPy raise on a damaged file."""
    try:
        yield
    except (struct.error, IndexError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise ModelError(
            f"the file is not a TFLite model that can be read: truncated or damaged ({error})", mend="Export or copy it again."
        ) from error


def _check_counts(model: Any) -> None:
    if model.SubgraphsLength() != 1:
        raise ModelError(f"the TFLite file has {model.SubgraphsLength()} subgraphs, one was expected")
    graph = model.Subgraphs(0)
    counts = {
        "buffers": model.BuffersLength(),
        "operator codes": model.OperatorCodesLength(),
        "tensors": graph.TensorsLength(),
        "operators": graph.OperatorsLength(),
        "metadata entries": model.MetadataLength(),
        "signatures": model.SignatureDefsLength(),
    }
    for name, count in counts.items():
        if count > MAX_ENTRIES:
            raise ModelError(f"the TFLite file has {count} {name}, more than the {MAX_ENTRIES} that are read")


def _graph(model: Any, data: Bytes) -> TFLiteGraph:
    graph = model.Subgraphs(0)
    tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    # Vectors may share their bytes, so that a small file could hold endless ones; no writer makes such a file.
    if sum(map(_tensor_bytes, tensors)) + 4 * sum(o.InputsLength() + o.OutputsLength() for o in operators) > len(data):
        raise ModelError("the TFLite file holds more names, indices and sizes than it has bytes")
    codes = [_code(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
    return TFLiteGraph(
        tensors=tuple(_tensor(model, tensor, data) for tensor in tensors),
        operators=tuple(_operator(codes, op, len(tensors)) for op in operators),
        inputs=_indices(graph.InputsAsNumpy(), len(tensors), "the graph's inputs"),
        outputs=_indices(graph.OutputsAsNumpy(), len(tensors), "the graph's outputs"),
    )


def _tensor_bytes(tensor: Any) -> int:
    """Return the bytes of its name, its sizes and its scales."""
    name, quantization = tensor._tab.Offset(_NAME), tensor.Quantization()
    scales = 0 if quantization is None else quantization.ScaleLength()
    return (tensor._tab.VectorLen(name) if name else 0) + 4 * int(tensor.ShapeLength() + scales)


def _code(code: Any) -> str:
    # Old files keep small codes in the deprecated one-byte field.
    number = max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))
    if number not in _CODES:
        raise ModelError(f"the TFLite file uses an operator that is not known (number {number})")
    return str(_CODES[number])


def _indices(vector: Any, count: int, what: str, *, absent: bool = False) -> tuple[int, ...]:
    """Return a vector of tensor indices; where `absent`, -1 means an input that is left out."""
    indices = _integers(vector)
    wrong = [i for i in indices if not (-1 if absent else 0) <= i < count]
    if wrong:
        raise ModelError(f"{what} name the tensor {wrong[0]}, and the TFLite file has {count}")
    return indices


def _integers(vector: Any) -> tuple[int, ...]:
    # The generated readers give the number 0 for a vector that is not there.
    return () if isinstance(vector, int) else tuple(vector.tolist())


def _tensor(model: Any, tensor: Any, data: Bytes) -> Tensor:
    name = (tensor.Name() or b"").decode("utf-8")
    dtype = _DTYPES.get(tensor.Type())
    if dtype is None:
        raise ModelError(f"the TFLite tensor {name!r} has an element type that is not supported ({tensor.Type()})")
    if tensor.IsVariable() or tensor.Sparsity() is not None or tensor.VariantTensorsLength():
        raise ModelError(f"the TFLite tensor {name!r} is a variable or sparse, which is not supported")
    shape = _shape(tensor, name)
    return Tensor(name, shape, dtype, _constant(model, tensor, shape, dtype, data, name), *_quantization(tensor, shape, name))


def _shape(tensor: Any, name: str) -> tuple[int, ...]:
    shape = _integers(tensor.ShapeAsNumpy())
    if len(shape) > MAX_RANK or min(shape, default=1) < 0 or prod(shape) > MAX_ELEMENTS:
        raise ModelError(f"the TFLite tensor {name!r} has the shape {list(shape[:9])}, which no kernel can run")
    if tensor.ShapeSignatureLength() not in (0, len(shape)):
        raise ModelError(f"the TFLite tensor {name!r} has two shapes of different length")
    return shape


def _constant(
    model: Any, tensor: Any, shape: tuple[int, ...], dtype: np.dtype[Any], data: Bytes, name: str
) -> npt.NDArray[Any] | None:
    if tensor.Buffer() >= model.BuffersLength():
        raise ModelError(f"the TFLite tensor {name!r} has the buffer {tensor.Buffer()} of {model.BuffersLength()}")
    raw = _content(model.Buffers(tensor.Buffer()), data)
    expected = prod(shape) * dtype.itemsize
    if len(raw) == 0:
        return np.zeros(shape, dtype) if expected == 0 else None
    if len(raw) != expected:
        raise ModelError(f"the TFLite tensor {name!r} needs {expected} bytes and has {len(raw)}")
    values: npt.NDArray[Any] = np.frombuffer(raw, dtype).reshape(shape)
    return values


def _content(buffer: Any, data: Bytes) -> Any:
    """Return the bytes of a buffer, as a view."""
    if buffer.Offset() > 1:  # files above 2 GB keep their buffers behind the flatbuffer
        if buffer.Offset() + buffer.Size() > len(data):
            raise ModelError("a buffer of the TFLite file ends behind the file", mend="Export or copy it again.")
        return memoryview(data)[buffer.Offset() : buffer.Offset() + buffer.Size()]
    return memoryview(b"") if buffer.DataLength() == 0 else buffer.DataAsNumpy()


def _quantization(tensor: Any, shape: tuple[int, ...], name: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64], int]:
    quantization = tensor.Quantization()
    if quantization is None:
        return np.zeros(0, np.float32), np.zeros(0, np.int64), 0
    if quantization.DetailsType():
        raise ModelError(f"the TFLite tensor {name!r} is quantized in a way that is not supported")
    scale = np.array(() if quantization.ScaleLength() == 0 else quantization.ScaleAsNumpy(), np.float32)
    zero = np.array(() if quantization.ZeroPointLength() == 0 else quantization.ZeroPointAsNumpy(), np.int64)
    axis = int(quantization.QuantizedDimension())
    if scale.size > 1 and not (0 <= axis < len(shape) and shape[axis] == scale.size):
        raise ModelError(f"the TFLite tensor {name!r} of shape {list(shape)} has {scale.size} scales along the axis {axis}")
    if zero.size != scale.size:
        raise ModelError(f"the TFLite tensor {name!r} has {scale.size} scales and {zero.size} zero points")
    return scale, zero, axis


def _operator(codes: Sequence[str], op: Any, count: int) -> Operator:
    if op.OpcodeIndex() >= len(codes):
        raise ModelError(f"an operator of the TFLite file has the code {op.OpcodeIndex()} of {len(codes)}")
    code = codes[op.OpcodeIndex()]
    if op.BuiltinOptions2Type() or op.IntermediatesLength() or op.MutatingVariableInputsLength() or op.CustomOptionsLength():
        raise ModelError(f"the TFLite operator {code} has options that are not supported")
    inputs = _indices(op.InputsAsNumpy(), count, f"the inputs of {code}", absent=True)
    outputs = _indices(op.OutputsAsNumpy(), count, f"the outputs of {code}")
    options = schema.BuiltinOptionsCreator(op.BuiltinOptionsType(), op.BuiltinOptions())
    kind = _OPTIONS.get(op.BuiltinOptionsType(), "unknown")
    expected = OPTIONS.get(code, "NONE")
    # LiteRT takes options of another operator for none, and none for zeros: strides of zero, by which it divides.
    if kind not in ("NONE", expected) and code in OPTIONS:
        raise ModelError(f"the TFLite operator {code} carries {kind}")
    return Operator(code, inputs, outputs, {} if options is None else vars(options))


def _check_signatures(model: Any, graph: TFLiteGraph) -> None:
    for signature in (model.SignatureDefs(i) for i in range(model.SignatureDefsLength())):
        inputs = [signature.Inputs(i) for i in range(signature.InputsLength())]
        outputs = [signature.Outputs(i) for i in range(signature.OutputsLength())]
        fits = signature.SubgraphIndex() == 0
        fits = fits and all(port.TensorIndex() in graph.inputs for port in inputs)
        fits = fits and all(port.TensorIndex() in graph.outputs for port in outputs)
        for name in (signature.SignatureKey(), *(port.Name() for port in (*inputs, *outputs))):
            fits = fits and name is not None and bool(name.decode("utf-8"))
        if not fits:
            raise ModelError("a signature of the TFLite file names what is no input or output of its graph")


def _metadata(model: Any, data: Bytes) -> Iterator[tuple[str, memoryview]]:
    for entry in (model.Metadata(i) for i in range(model.MetadataLength())):
        name = entry.Name()
        if name is None or name in _REFUSED_METADATA or entry.Buffer() >= model.BuffersLength():
            raise ModelError("a metadata entry of the TFLite file has no name, no buffer, or is not supported")
        yield name.decode("utf-8", "replace"), memoryview(_content(model.Buffers(entry.Buffer()), data))
