"""Quantization-aware training with the defaults of TensorFlow's Model Optimization Toolkit, on the whole model.

It trains for one epoch from the trained network, with the batch size, learning rate and loss of this package's own
quantization-aware training, on labels alone.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers import litert
from benchmarks.peers.peer import Material, Peer

EPOCHS = 1
BATCH = 4
LEARNING_RATE = 1e-4


def make(material: Material, folder: Path) -> Path:
    """Train the tf_keras model under the toolkit's fake quantization, and convert it."""
    import numpy as np
    import tensorflow as tf
    import tensorflow_model_optimization as tfmot
    import tf_keras

    from u3p_edge.conversion.tflite.converter import tflite_converter
    from u3p_edge.models.truth import one_hot
    from u3p_edge.training.losses import dice_cross_entropy

    tf_keras.utils.set_random_seed(0)
    model = tf_keras.models.load_model(material.keras, compile=False)
    aware = tfmot.quantization.keras.quantize_model(model)
    aware.compile(optimizer=tf_keras.optimizers.Adam(LEARNING_RATE), loss=dice_cross_entropy)
    images, truth = np.asarray(material.images("train")), one_hot(material.labels(), model.output_shape[-1])
    aware.fit(images, truth, batch_size=BATCH, epochs=EPOCHS, verbose=2)
    converter = tflite_converter(aware)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    path = folder / "model.tflite"
    path.write_bytes(converter.convert())
    return path


PEER = Peer(
    "tfmot_qat", "TFMOT, default QAT", "LiteRT",
    ("tensorflow-model-optimization>=0.8,<0.9", "tensorflow>=2.21,<2.22", litert.PACKAGE), make, litert.load, isolated=False,
)  # fmt: skip
