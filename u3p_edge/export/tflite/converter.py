"""Convert a tf_keras inference model to a TFLite file: float32, float16 weights, or full-integer int8.

The model has one input [1, H, W, C] and one output [1, H, W, K] of probabilities. Int8 files come from two sources:
a float model with calibration images (post-training quantization: the converter measures each tensor's range), or a
model trained with fake quantization, which carries its ranges itself. Weights are int8 per output channel and
symmetric, activations int8 per tensor, biases int32, as the TFLite 8-bit quantization specification lays down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from u3p_edge.config.metadata import Metadata
from u3p_edge.export.failing_layer import name_failing_layer
from u3p_edge.export.tflite import schema
from u3p_edge.progress import Step, idle

Images = npt.NDArray[np.float32]
Keras = Any


def serving_function(model: Keras) -> Any:
    """Return a tf.function `image` [1, H, W, C] float32 -> {"mask": [1, H, W, K] float32}, batch 1, inference mode."""
    height, width, channels = model.inputs[0].shape[1:]
    specification = tf.TensorSpec((1, height, width, channels), tf.float32, name="image")

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"mask": model(image, training=False)}

    return tf.function(serve, input_signature=[specification])


def convert_float(model: Keras, metadata: Metadata, *, half: bool = False) -> bytes:
    """Return a float32 TFLite file; with `half` its weights are stored as float16 and widened when the file is loaded.

    Raises:
        ModelError: where the converter cannot express the model; the message names the layer.
    """

    def convert(part: Keras) -> bytes:
        converter = _converter(part)
        if half:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())

    with name_failing_layer(model, "float16 TFLite" if half else "float32 TFLite", convert):
        return schema.add_metadata(convert(model), metadata)


def convert_int8(
    model: Keras,
    metadata: Metadata,
    *,
    calibration: Images | None,
    float_io: bool = False,
    step: Step = idle,
) -> bytes:
    """Return a full-integer TFLite file.

    Args:
        model: a float model, or one trained with fake quantization.
        metadata: stored in the file.
        calibration: float32 [N, H, W, C] images for post-training quantization; None when the model carries its ranges.
        float_io: whether to keep float32 input and output around the integer network.
        step: called after each calibration image.

    Raises:
        ModelError: where the converter cannot express the model in integers alone; the message names the layer.
    """

    def convert(part: Keras, images: Images | None, count: Step) -> bytes:
        converter = _converter(part)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if images is not None:
            converter.representative_dataset = lambda: _one_by_one(images, count)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if not float_io:
            converter.inference_input_type = converter.inference_output_type = tf.int8
        return _integers_alone(bytes(converter.convert()))

    def convert_alone(part: Keras) -> bytes:
        shape = (2, *part.inputs[0].shape[1:])
        return convert(part, np.random.default_rng(0).standard_normal(shape).astype(np.float32), idle)

    with name_failing_layer(model, "int8 TFLite", convert_alone):
        return schema.add_metadata(convert(model, calibration, step), metadata)


def _integers_alone(file: bytes) -> bytes:
    """Return the file; raise ValueError where the converter has left an operator in float between integers.

    It does so where it knows no other way.
    """
    graph = schema.parse_tflite(file)
    floats = {
        op.code
        for op in graph.operators
        if op.code not in ("QUANTIZE", "DEQUANTIZE") and any(graph.tensors[i].dtype == np.float32 for i in op.outputs)
    }
    if floats:
        raise ValueError(f"TensorFlow Lite has no integer form of {', '.join(sorted(floats))}")
    return file


def _one_by_one(images: Images, step: Step) -> Iterator[list[Images]]:
    for image in images:
        yield [image[np.newaxis]]
        step()


def _converter(model: Keras) -> Any:
    # A module that holds nothing but the function and its variables: given the Keras model, TensorFlow would trace every
    # layer's call again, which takes several times as long as the conversion.
    holder = tf.Module()
    holder.kept = list(model.variables)
    holder.serve = serving_function(model).get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([holder.serve], holder)
