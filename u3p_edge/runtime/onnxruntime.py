"""ONNX files in ONNX Runtime, on the CPU."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from u3p_edge.config.limits import MAX_MEMORY_MB
from u3p_edge.config.metadata import Metadata
from u3p_edge.errors import ModelError
from u3p_edge.runtime.base import FloatArray, OutputArray, PortQuantization, Shape, check_file, decode, encode
from u3p_edge.runtime.onnx_file import check_onnx, describe_onnx
from u3p_edge.runtime.onnx_options import session_options
from u3p_edge.runtime.registry import RUNTIMES

KINDS = {"tensor(float)": "float32", "tensor(int8)": "int8", "tensor(uint8)": "uint8"}
"""NumPy's names of the element types in exported files."""


@dataclass(frozen=True)
class ONNXSession:
    """A `Session` over an onnxruntime.InferenceSession."""

    name: str
    format: str
    metadata: Metadata
    threads: int
    input_shape: Shape
    _session: Any
    _image: PortQuantization | None
    _mask: PortQuantization | None

    def prepare(self, image: FloatArray) -> Callable[[], None]:
        """See `Session.prepare`."""
        feed = {"image": encode(image, self.input_shape, self._image, self.name)}

        def invoke() -> None:
            try:
                self._session.run(["mask"], feed)
            except Exception as error:  # see `_load`
                raise _unable(self.name, error) from error

        return invoke

    def run(self, image: FloatArray) -> OutputArray:
        """See `Session.run`."""
        feed = {"image": encode(image, self.input_shape, self._image, self.name)}
        try:
            mask = self._session.run(["mask"], feed)[0]
        except Exception as error:  # see `_load`
            raise _unable(self.name, error) from error
        return decode(mask, self._mask)


def _unable(name: str, error: Exception) -> ModelError:
    """Return the error for a failed run: out of memory, or a wrong shape that ONNX Runtime detects only then."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return ModelError(f"{name} cannot be run by ONNX Runtime ({reason[-300:]})", mend="Export or copy it again.")


def open_file(path: Path, threads: int = 1, max_memory_mb: float | None = MAX_MEMORY_MB) -> ONNXSession:
    """Load an ONNX file.

    Args:
        path: path of the file.
        threads: number of threads of the session.
        max_memory_mb: what the file may take, in MB of 10^6 bytes; None for a file that this program wrote or has checked.

    Raises:
        ModelError: the file is missing, truncated, not ONNX, without u3p_edge metadata or port names, or not runnable.
        MissingPackageError: onnxruntime is not installed.
    """
    check_file(path)
    if max_memory_mb is not None:
        check_onnx(path, max_memory_mb)
    session = _load(path, threads, max_memory_mb)
    try:
        properties: dict[str, str] = dict(session.get_modelmeta().custom_metadata_map)
        image, mask = _bind(session, path)
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} holds names that are no text", mend="Export or copy it again.") from error
    types = ((tuple(port.shape), KINDS.get(port.type, port.type)) for port in (image, mask))
    file = describe_onnx(path, properties, *types)
    return ONNXSession(
        path.name, f"onnx-{file.number}", file.metadata, threads, file.input_shape, session, file.image, file.mask
    )


def _load(path: Path, threads: int, max_memory_mb: float | None) -> Any:
    try:
        library = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise RUNTIMES["onnx"].missing(path.name, error) from error
    options = session_options(library, threads)
    if max_memory_mb is not None:
        _bound_memory(library, options, max_memory_mb)
    try:
        return library.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # each status has another exception class, derived directly from Exception
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{path} is not an ONNX file that ONNX Runtime can run: truncated, damaged or of another kind ({reason})",
            mend="Export or copy it again.",
        ) from error


def _bound_memory(library: Any, options: Any, max_memory_mb: float) -> None:
    """Make the session use the process's arena, with this limit, for its maps; ONNX Runtime cannot limit a single session."""
    memory = library.OrtMemoryInfo("Cpu", library.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, library.OrtMemType.DEFAULT)
    usual = {"arena_extend_strategy": 0, "initial_chunk_size_bytes": -1, "max_dead_bytes_per_chunk": -1}
    arena = library.OrtArenaCfg({"max_mem": int(max_memory_mb * 1e6), **usual})
    library.create_and_register_allocator(memory, arena)
    options.add_session_config_entry("session.use_env_allocators", "1")


def _bind(session: Any, path: Path) -> tuple[Any, Any]:
    """Return the descriptions of input `image` and output `mask`."""
    inputs = {port.name: port for port in session.get_inputs()}
    outputs = {port.name: port for port in session.get_outputs()}
    if list(inputs) != ["image"] or "mask" not in outputs:
        raise ModelError(
            f"{path} maps {list(inputs)} to {list(outputs)}, not `image` to `mask`", mend="Make it with `u3p-edge export`."
        )
    return inputs["image"], outputs["mask"]
