"""A tf_keras inference model as a TFLite file: float32, float16 weights, or full-integer int8.

The model has one input [1, H, W, C] and one output [1, H, W, K] of probabilities. Int8 files come from two sources:
a float model with calibration images (post-training quantization: the converter measures each tensor's range), or a
model trained with fake quantization, which carries its ranges itself. Weights are int8 per output channel and
symmetric, activations int8 per tensor, biases int32, as the TFLite 8-bit quantization specification lays down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.lite.python.convert_phase import ConverterError

from u3p_edge.config import Metadata
from u3p_edge.errors import ModelError
from u3p_edge.export import flatbuffer

Images = npt.NDArray[np.float32]
Keras = Any


def serving_function(model: Keras) -> Any:
    """A tf.function `image` [1, H, W, C] float32 -> {"mask": [1, H, W, K] float32}, batch 1, inference mode."""
    height, width, channels = model.inputs[0].shape[1:]
    specification = tf.TensorSpec((1, height, width, channels), tf.float32, name="image")

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"mask": model(image, training=False)}

    return tf.function(serve, input_signature=[specification])


def convert_float(model: Keras, metadata: Metadata, *, half: bool = False) -> bytes:
    """A float32 TFLite file; with `half` its weights are stored as float16 and widened when it is loaded."""
    converter = _converter(model)
    if half:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
    return flatbuffer.stamp(_convert(converter), metadata)


def convert_int8(
    model: Keras,
    metadata: Metadata,
    *,
    calibration: Images | None,
    float_io: bool = False,
    seen: Callable[[int], object] = lambda _: None,
) -> bytes:
    """A full-integer TFLite file.

    Args:
        model: a float model, or one trained with fake quantization.
        metadata: travels inside the file.
        calibration: float32 [N, H, W, C] images for post-training quantization; None when the model carries its ranges.
        float_io: keep float32 input and output around the integer network.
        seen: called with the number of calibration images run so far.

    Raises:
        ModelError: the converter cannot express the model in integers.
    """
    converter = _converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if calibration is not None:
        converter.representative_dataset = lambda: _one_by_one(calibration, seen)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if not float_io:
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return flatbuffer.stamp(_convert(converter), metadata)


def _one_by_one(images: Images, seen: Callable[[int], object]) -> Iterator[list[Images]]:
    for count, image in enumerate(images, start=1):
        yield [image[np.newaxis]]
        seen(count)


def _converter(model: Keras) -> Any:
    # A module that holds no more than the function: given the Keras model, TensorFlow traces every layer's call anew,
    # which takes several times as long as the conversion.
    holder = tf.Module()
    holder.kept = list(model.variables)
    holder.serve = serving_function(model).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([holder.serve], holder)


def _convert(converter: Any) -> bytes:
    try:
        return bytes(converter.convert())
    except (ConverterError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ModelError(f"TensorFlow Lite cannot convert the model: {reason}") from error
