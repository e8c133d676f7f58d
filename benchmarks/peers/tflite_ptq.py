"""Post-training quantization by TensorFlow's converter, with its defaults: `tf.lite.Optimize.DEFAULT` and sample images."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers import litert
from benchmarks.peers.peer import FloatArray, Material, Peer


def make(material: Material, folder: Path) -> Path:
    """Quantize the tf_keras model after training."""
    import tensorflow as tf
    import tf_keras

    from u3p_edge.conversion.tflite.converter import tflite_converter

    def sample_images() -> Iterator[list[FloatArray]]:
        for image in material.images("calibration"):
            yield [image[None]]

    converter = tflite_converter(tf_keras.models.load_model(material.keras, compile=False))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = sample_images
    path = folder / "model.tflite"
    path.write_bytes(converter.convert())
    return path


PEER = Peer(
    "tflite_ptq", "TFLite converter, default PTQ", "LiteRT", ("tensorflow>=2.21,<2.22", litert.PACKAGE),
    make, litert.load, isolated=False,
)  # fmt: skip
