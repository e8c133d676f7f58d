"""What an export leaves."""

from __future__ import annotations

MODEL_FILES = (
    *("model.float32.onnx", "model.float32.tflite", "model.int8.onnx", "model.int8.tflite"),
    "reference.float32.tflite",
)
"""Of an export with int8 in both formats."""
