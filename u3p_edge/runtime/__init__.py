"""Exported files, loaded and run: float image in, float map out.

`open_session(path)` chooses the runtime by the file's suffix and imports that runtime alone.
"""

from __future__ import annotations

from pathlib import Path

from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.runtime.base import Session

__all__ = ["SUFFIXES", "Session", "open_session"]

SUFFIXES = (".tflite", ".onnx")
"""What `open_session` reads."""


def open_session(path: Path | str, threads: int = 1) -> Session:
    """Load an exported file in its runtime.

    Args:
        path: a .tflite or .onnx file made by `u3p-edge export`.
        threads: of the runtime, at least 1.

    Raises:
        ModelError: the file is missing, damaged, of another kind or not made by us.
        RuntimeMissingError: its runtime is not installed.
        ConfigError: `threads` is below 1.
    """
    path = Path(path)
    if threads < 1:
        raise ConfigError(f"{threads} threads cannot run a model", mend="Use 1 or more.")
    if path.suffix == ".tflite":
        from u3p_edge.runtime.tflite import open_tflite

        return open_tflite(path, threads)
    if path.suffix == ".onnx":
        from u3p_edge.runtime.onnxruntime import open_onnx

        return open_onnx(path, threads)
    raise ModelError(f"{path} is neither a .tflite nor an .onnx file", mend="Make one with `u3p-edge export`.")
