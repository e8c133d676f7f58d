"""litert-quantizer, formerly ai-edge-quantizer: post-training quantization of a TFLite file by its recipe for int8."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers import litert
from benchmarks.peers.peer import Material, Peer


def make(material: Material, folder: Path) -> Path:
    """Quantize the float TFLite file with the static int8 recipe."""
    from litert_quantizer import quantizer, recipe

    samples = [{"image": image[None]} for image in material.images("calibration")]
    whole = quantizer.Quantizer(str(material.tflite))
    whole.load_quantization_recipe(recipe.static_wi8_ai8())
    ranges = whole.calibrate({"serving_default": samples})
    path = folder / "model.tflite"
    whole.quantize(ranges).export_model(str(path), overwrite=True)
    return path


PEER = Peer(
    "litert_quantizer", "litert-quantizer, static int8", "LiteRT", ("litert-quantizer>=0.11,<0.12", litert.PACKAGE),
    make, litert.load,
)  # fmt: skip
