"""What an export leaves."""

from __future__ import annotations

REFERENCE = "reference.float32.tflite"
"""The original model, beside the rewritten ones."""

CONVERTED = ["model.float32.onnx", "model.float32.tflite", "model.int8.onnx", "model.int8.tflite"]

MODELS = [*CONVERTED, REFERENCE]
"""Of an export with int8 in both formats."""

NETWORK = "network.int8.safetensors"
"""There with int8 alone."""

REPORTS = [
    "export.lock.json",
    "model_card.md",
    "pareto.svg",
    "report.html",
    "report.json",
    "report.md",
    "samples.png",
    "sbom.cdx.json",
    "worst.png",
]

CHOICE, REWRITES = "quantization.json", "rewrites.json"
"""There with int8 alone, and with rewriting alone."""
