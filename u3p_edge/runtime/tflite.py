"""TFLite files in LiteRT, with its default XNNPACK delegate."""

from __future__ import annotations

import contextlib
import importlib
import mmap
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from u3p_edge.config.limits import MAX_MEMORY_MB
from u3p_edge.config.metadata import METADATA_KEY, Metadata
from u3p_edge.errors import ModelError
from u3p_edge.files.json_toml import MAX_METADATA
from u3p_edge.runtime.base import (
    LABEL_TYPE,
    FloatArray,
    OutputArray,
    PortQuantization,
    Shape,
    check_file,
    check_ports,
    decode,
    encode,
    parse_metadata,
    unusable_error,
)
from u3p_edge.runtime.registry import RUNTIMES

if TYPE_CHECKING:
    from u3p_edge.files.tflite.graph import TFLiteGraph

AGAIN = "Export or copy it again."
SIGNATURE = "serving_default"


@dataclass(frozen=True)
class TFLiteSession:
    """A `Session` over LiteRT's interpreter."""

    name: str
    format: str
    metadata: Metadata
    threads: int
    input_shape: Shape
    _interpreter: Any
    _image: _Port
    _mask: _Port

    def prepare(self, image: FloatArray) -> Callable[[], None]:
        """See `Session.prepare`."""
        batch = encode(image, self.input_shape, self._image.quantization, self.name)
        self._interpreter.set_tensor(self._image.index, batch)
        run = self._interpreter.invoke

        def invoke() -> None:
            try:
                run()
            except RuntimeError as error:
                raise ModelError(f"{self.name} cannot be run by LiteRT ({_first_line(error)})", mend=AGAIN) from error

        return invoke

    def run(self, image: FloatArray) -> OutputArray:
        """See `Session.run`."""
        self.prepare(image)()
        return decode(self._interpreter.get_tensor(self._mask.index), self._mask.quantization)


@dataclass(frozen=True)
class _Port:
    """A tensor of the interpreter that a signature names."""

    index: int
    number: str
    shape: tuple[int, ...]
    quantization: PortQuantization | None


def open_file(path: Path, threads: int = 1, max_memory_mb: float | None = MAX_MEMORY_MB) -> TFLiteSession:
    """Load a TFLite file; its tensors are bound by name, because int8 conversion may reorder them.

    Args:
        path: path of the file.
        threads: number of threads of the interpreter.
        max_memory_mb: what the file may take, in MB of 10^6 bytes; None for no limit.

    Raises:
        ModelError: the file is missing, truncated, not TFLite, without u3p_edge metadata or signature, or not runnable.
        MissingPackageError: ai-edge-litert is not installed.
    """
    check_file(path)
    text, number = _read(path, max_memory_mb)  # before LiteRT, which trusts every index in the file
    with _refused(path):
        interpreter = _interpreter(path, threads)
        with quiet_stderr():
            interpreter.allocate_tensors()
        image, mask = _bind(interpreter, path)
    metadata = parse_metadata(text, path)
    shape = check_ports(path, metadata, image.shape, mask.shape, mask.number)
    return TFLiteSession(path.name, f"tflite-{number}", metadata, threads, shape, interpreter, image, mask)


def _interpreter(path: Path, threads: int) -> Any:
    """Return an interpreter whose tensors are not allocated yet."""
    try:
        library = importlib.import_module("ai_edge_litert.interpreter")
    except ImportError as error:
        raise RUNTIMES["tflite"].missing(path.name, error) from error
    with quiet_stderr():
        return library.Interpreter(model_path=str(path), num_threads=threads)


@contextlib.contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Turn LiteRT's errors into ModelError."""
    try:
        yield
    except (ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path} is not a TFLite file that LiteRT can run: truncated, damaged or of another kind ({_first_line(error)})",
            mend="Export or copy it again.",
        ) from error


def _bind(interpreter: Any, path: Path) -> tuple[_Port, _Port]:
    """Return the tensors `image` and `mask` of the signature."""
    if SIGNATURE not in interpreter.get_signature_list():
        raise ModelError(f"{path} has no signature {SIGNATURE!r}", mend="Make it with `u3p-edge export`.")
    runner = interpreter.get_signature_runner(SIGNATURE)
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    if list(inputs) != ["image"] or "mask" not in outputs:
        raise ModelError(
            f"the signature of {path} maps {list(inputs)} to {list(outputs)}, not `image` to `mask`",
            mend="Make it with `u3p-edge export`.",
        )
    return _port(inputs["image"], path), _port(outputs["mask"], path)


def _port(details: Any, path: Path) -> _Port:
    index, number, shape = int(details["index"]), np.dtype(details["dtype"]).name, tuple(int(n) for n in details["shape"])
    if number in ("float32", LABEL_TYPE):
        return _Port(index, number, shape, None)
    scale, zero_point = details["quantization"]
    if number == "int8" and scale > 0:
        return _Port(index, number, shape, PortQuantization(float(scale), int(zero_point)))
    raise ModelError(
        f"{details['name']} of {path} is neither float32, nor int8 with one scale, nor labels", mend="Export the model again."
    )


def _read(path: Path, max_memory_mb: float | None) -> tuple[str | None, str]:
    """Return the u3p_edge metadata text, if the file has it, and the number type of a file that is safe to load.

    Raises:
        ModelError: the file is not safe to load.
        MissingPackageError: ai-edge-litert is not installed.
    """
    try:
        from u3p_edge.files.tflite import check
    except ImportError as error:
        raise RUNTIMES["tflite"].missing(path.name, error) from error
    # Memory-mapped, not read: only the pages that are accessed count in the process's memory.
    with path.open("rb") as file:
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    try:
        contents = check.read(view, max_memory_mb)
    except ModelError as error:
        raise unusable_error(path, error) from error
    text = contents.metadata.get(METADATA_KEY)
    return None if text is None else bytes(text[: MAX_METADATA + 1]).decode("utf-8", "replace"), _number_type(contents.graph)


def _number_type(graph: TFLiteGraph) -> str:
    """Return the number type: int8, float16, dynamic (only the weights are int8) or float32."""
    types = {tensor.dtype.name for tensor in graph.tensors}
    if any(graph.tensors[index].dtype == np.int8 for op in graph.operators for index in op.outputs):
        return "int8"
    if "float16" in types:
        return "float16"
    return "dynamic" if "int8" in types else "float32"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep LiteRT's "INFO: Created ... delegate" off the terminal: C++ writes it straight to file descriptor 2."""
    sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # there is no standard error, so nothing to silence
        yield
        return
    try:
        with Path(os.devnull).open("w") as sink:
            os.dup2(sink.fileno(), 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
