"""TensorFlow's own converter of tf_keras inference models: the float file that everything is measured against.

The model has one input [1, H, W, C] and one output [1, H, W, K] of probabilities. It also makes the float16 file, and stands in
for this package's writer where that does not know an op. It has no part in the network in integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from u3p_edge.config.metadata import Metadata
from u3p_edge.conversion.tflite import schema

Images = npt.NDArray[np.float32]
Keras = Any


def serving_function(model: Keras, *, labels: bool = False) -> Any:
    """Return a tf.function `image` [1, H, W, C] float32 -> {"mask": [1, H, W, K] float32}, batch 1, inference mode.

    With `labels`, the model gives logits, and the mask is labels uint8 [1, H, W].
    """
    height, width, channels = model.inputs[0].shape[1:]
    specification = tf.TensorSpec((1, height, width, channels), tf.float32, name="image")

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        mask = model(image, training=False)
        return {"mask": _to_labels(mask) if labels else mask}

    return tf.function(serve, input_signature=[specification])


def _to_labels(logits: tf.Tensor) -> tf.Tensor:
    if logits.shape[3] == 1:
        return tf.cast(tf.reshape(logits, logits.shape[:3]) >= 0, tf.uint8)
    return tf.cast(tf.argmax(logits, axis=3, output_type=tf.int32), tf.uint8)


def convert_float(model: Keras, metadata: Metadata, *, half: bool = False) -> bytes:
    """Return a float32 TFLite file; with `half` its weights are stored as float16 and widened when the file is loaded.

    Args:
        model: of layers that a graph knows; TensorFlow converts all of them. For labels, it gives logits.
        metadata: stored in the file.
        half: store weights as float16.
    """
    converter = tflite_converter(model, labels=metadata.output == "labels")
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return schema.add_metadata(bytes(converter.convert()), metadata)


def tflite_converter(model: Keras, *, labels: bool = False) -> Any:
    """Return TensorFlow's converter of a `serving_function`, ready for options; it raises nothing before `convert`."""
    # A module that holds nothing but the function and its variables: given the Keras model, TensorFlow would trace every
    # layer's call again, which takes several times as long as the conversion.
    holder = tf.Module()
    holder.kept = list(model.variables)
    holder.serve = serving_function(model, labels=labels).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([holder.serve], holder)
