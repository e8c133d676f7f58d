"""Load and run exported files: float image in, float map out.

`open_session(path)` selects the runtime by the file's suffix and imports only that runtime.
"""

from __future__ import annotations

from pathlib import Path

from u3p_edge.config import MAX_MEMORY_MB, MAX_THREADS
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.runtime.base import Session

__all__ = ["SUFFIXES", "Session", "open_session"]

SUFFIXES = (".tflite", ".onnx")
"""Suffixes of the files that `open_session` reads."""


def open_session(path: Path | str, threads: int = 1, *, max_memory_mb: float | None = MAX_MEMORY_MB) -> Session:
    """Load an exported file in its runtime.

    Args:
        path: a .tflite or .onnx file made by `u3p-edge export`.
        threads: number of threads of the runtime, 1 to `MAX_THREADS`.
        max_memory_mb: a file that would take more, in MB of 10^6 bytes, is refused; None for a file that this program wrote.

    Raises:
        ModelError: the file is missing, damaged, of another kind or not made by `u3p-edge export`.
        RuntimeMissingError: its runtime is not installed.
        ConfigError: `threads` is out of range.
    """
    path = Path(path)
    if not 1 <= threads <= MAX_THREADS:
        raise ConfigError(f"{threads} threads cannot run a model", mend=f"Use 1 to {MAX_THREADS}.")
    if path.suffix == ".tflite":
        from u3p_edge.runtime.tflite import open_tflite

        return open_tflite(path, threads, max_memory_mb)
    if path.suffix == ".onnx":
        from u3p_edge.runtime.onnxruntime import open_onnx

        return open_onnx(path, threads, max_memory_mb)
    raise ModelError(f"{path} is neither a .tflite nor an .onnx file", mend="Make one with `u3p-edge export`.")
