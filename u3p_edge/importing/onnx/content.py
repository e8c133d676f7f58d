"""The content of an ONNX file: its operators, its constants as arrays, its inputs and outputs.

A constant may lie in a data file beside the ONNX file, as PyTorch writes large ones. Nothing else is read.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from u3p_edge.errors import ModelError
from u3p_edge.files.onnx_check import check_onnx_content

Array = npt.NDArray[Any]
OLDEST_OPSET = 11
MOST_NODES = 20_000
_NUMERIC = "fiub"
"""NumPy's kinds of the element types that a constant may have."""


@dataclass(frozen=True)
class ModelPort:
    """An input or output of an ONNX model.

    Args:
        name: in the file.
        dtype: NumPy's name of its element type.
        dims: its shape, None for a size that is not fixed.
    """

    name: str
    dtype: str
    dims: tuple[int | None, ...]


@dataclass(frozen=True)
class ONNXContent:
    """What an ONNX file holds.

    Args:
        nodes: its operators (onnx.NodeProto) but `Constant`, in the file's order.
        constants: arrays by the names of their values.
        inputs, outputs: those of the model, constants left out.
        opset: version of the ONNX operators.
    """

    nodes: tuple[Any, ...]
    constants: Mapping[str, Array]
    inputs: tuple[ModelPort, ...]
    outputs: tuple[ModelPort, ...]
    opset: int


def read_content(path: Path) -> ONNXContent:
    """Read an ONNX file, and the data files beside it that it names.

    Raises:
        ModelError: the file is missing, truncated, of another kind, of an opset that is not read, or it holds what
            `u3p_edge.files.onnx_check` refuses; or a data file is missing, too small, or not beside it.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"it cannot be read: {error.strerror}") from error
    check_onnx_content(memoryview(data), None)
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception as error:  # protobuf's DecodeError
        raise ModelError("it is not an ONNX file: truncated or damaged", mend="Export or copy it again.") from error
    graph = model.graph
    if not 0 < len(graph.node) <= MOST_NODES:
        raise ModelError(f"it holds {len(graph.node)} operators, and a network of 1 to {MOST_NODES} can be read")
    stored = dict(_arrays(graph.initializer, path.parent))
    constants = {**stored, **{node.output[0]: _value(node) for node in graph.node if node.op_type == "Constant"}}
    return ONNXContent(
        nodes=tuple(node for node in graph.node if node.op_type != "Constant"),
        constants=constants,
        inputs=tuple(_port(value) for value in graph.input if value.name not in stored),
        outputs=tuple(_port(value) for value in graph.output),
        opset=_opset(model),
    )


def find_data_files(path: Path) -> tuple[Path, ...]:
    """Return the data files beside an ONNX file that `read_content` has read for it, each once, in the file's order."""
    model = onnx.ModelProto.FromString(path.read_bytes())
    apart = [t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL or t.external_data]
    return tuple(dict.fromkeys(_locate(tensor, path.parent)[0] for tensor in apart))


def _opset(model: Any) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    newest = onnx.defs.onnx_opset_version()
    if len(versions) != 1 or not OLDEST_OPSET <= versions[0] <= newest:
        raise ModelError(
            f"its opset is {versions[0] if versions else 'not given'}, and {OLDEST_OPSET} to {newest} are read",
            mend="Export the model with opset_version=17.",
        )
    return int(versions[0])


def _port(value: Any) -> ModelPort:
    kind = value.type.tensor_type
    dims = tuple(d.dim_value if d.WhichOneof("value") == "dim_value" and d.dim_value > 0 else None for d in kind.shape.dim)
    return ModelPort(value.name, _dtype(kind.elem_type, value.name).name, dims)


def _dtype(kind: int, name: str) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(helper.tensor_dtype_to_np_dtype(kind))
    except (KeyError, TypeError) as error:
        raise ModelError(f"{name[:80]!r} has an element type that is not known ({kind})") from error
    return dtype


def _value(node: Any) -> Array:
    """Return the array of a `Constant` operator."""
    values = [helper.get_attribute_value(attribute) for attribute in node.attribute]
    if len(values) != 1 or len(node.output) != 1:
        raise ModelError(f"the constant {node.name[:80]!r} is damaged", mend="Export or copy it again.")
    if not isinstance(values[0], TensorProto):
        array = np.asarray(values[0])  # `value_floats` and the like
        return _numeric(array.astype(np.float32) if array.dtype.kind == "f" else array, node.name)
    if values[0].data_location == TensorProto.EXTERNAL or values[0].external_data:
        raise ModelError(f"the constant {node.name[:80]!r} lies in another file, as only weights may")
    return _inline(values[0])


def _arrays(tensors: Iterable[Any], folder: Path) -> Iterator[tuple[str, Array]]:
    """Yield every initializer with its name. All that lie in data files are together no larger than those files."""
    claimed, files = 0, dict[Path, int]()
    for tensor in tensors:
        if tensor.data_location != TensorProto.EXTERNAL and not tensor.external_data:
            yield tensor.name, _inline(tensor)
            continue
        path, offset, shape = _locate(tensor, folder)
        dtype = _dtype(tensor.data_type, tensor.name).newbyteorder("<")
        size = math.prod(shape) * dtype.itemsize
        files[path] = path.stat().st_size
        claimed += size
        if offset + size > files[path] or claimed > sum(files.values()):
            raise ModelError(
                f"the data file {path.name} is too small for the weight {tensor.name[:80]!r}", mend="Export or copy it again."
            )
        with path.open("rb") as file:
            file.seek(offset)
            array = np.frombuffer(file.read(size), dtype).reshape(shape)
        yield tensor.name, _numeric(array, tensor.name)


def _locate(tensor: Any, folder: Path) -> tuple[Path, int, tuple[int, ...]]:
    """Return the data file of a weight, the position of its first byte there, and its shape."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    path = folder / location
    if Path(location).name != location or set(location) & set("\\:\0") or path.is_symlink() or not path.is_file():
        raise ModelError(
            f"the weight {tensor.name[:80]!r} lies in {location[:80]!r}, and there is no such file beside the model",
            mend="Keep the data file in the model's folder, or save the model as one file.",
        )
    offset, shape = entries.get("offset", "0"), tuple(tensor.dims)
    if not (offset.isdecimal() and len(offset) < 20) or any(n < 0 for n in shape):
        raise ModelError(f"the weight {tensor.name[:80]!r} is damaged", mend="Export or copy the model again.")
    return path, int(offset), shape


def _inline(tensor: Any) -> Array:
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError) as error:
        raise ModelError(f"the constant {tensor.name[:80]!r} is damaged ({error})", mend="Export or copy it again.") from error
    return _numeric(np.asarray(array), tensor.name)


def _numeric(array: Array, name: str) -> Array:
    if array.dtype.kind not in _NUMERIC:
        raise ModelError(f"the constant {name[:80]!r} is of type {array.dtype}, which no network here computes with")
    return array
