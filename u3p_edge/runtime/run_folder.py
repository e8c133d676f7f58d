"""Choose the model file of a run folder, where a folder is given instead of a model."""

from __future__ import annotations

from pathlib import Path

from u3p_edge.errors import ModelError
from u3p_edge.runtime.registry import runtime_of

PREFERENCE = ("model.int8.tflite", "model.int8.onnx", "model.float32.tflite", "model.float32.onnx")
"""Files of an export, in order of preference."""


def model_file(path: Path) -> Path:
    """Return a model file unchanged; of a run folder the int8 file, else the float one, whose runtime is installed.

    If no such runtime is installed, the first existing file of `PREFERENCE` is returned.

    Raises:
        ModelError: the folder holds no exported file.
    """
    if not path.is_dir():
        return path
    there = [path / name for name in PREFERENCE if (path / name).is_file()]
    if not there:
        raise ModelError(
            f"the folder {path} holds none of {', '.join(PREFERENCE)}",
            mend="Make them with `u3p-edge export`, or name a .tflite or .onnx file.",
        )
    return next((file for file in there if (runtime := runtime_of(file.suffix)) and runtime.is_installed), there[0])
