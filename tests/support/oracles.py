"""Independent oracles of this package's writers: TensorFlow's converter to int8, and tf2onnx."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import tensorflow as tf

from u3p_edge.config.metadata import Metadata
from u3p_edge.conversion.tflite import schema
from u3p_edge.conversion.tflite.converter import serving_function, tflite_converter

Images = npt.NDArray[np.float32]


def convert_int8(model: Any, metadata: Metadata, *, calibration: Images | None, float_io: bool = False) -> bytes:
    """A full-integer TFLite file by TensorFlow's converter.

    Args:
        model: a float model, or one with fake quantization, which carries its ranges itself.
        metadata: stored in the file.
        calibration: float32 [N, H, W, C] images; None for a model that carries its ranges. Its layers must then be traced with
            a batch of 1: with an open batch size, the gate's reshape becomes SHAPE, STRIDED_SLICE and PACK.
        float_io: whether to keep float32 input and output around the integer network.
    """
    converter = tflite_converter(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if calibration is not None:
        converter.representative_dataset = lambda: _one_by_one(calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    if not float_io:
        converter.inference_input_type = converter.inference_output_type = tf.int8
    return schema.add_metadata(bytes(converter.convert()), metadata)


def _one_by_one(images: Images) -> Iterator[list[Images]]:
    for image in images:
        yield [image[np.newaxis]]


def convert_onnx(model: Any) -> onnx.ModelProto:
    """A float32 ONNX model by tf2onnx, with the input `image` [1, H, W, C] and the output `mask`."""
    import tf2onnx

    height, width, channels = model.inputs[0].shape[1:]
    signature = [tf.TensorSpec((1, height, width, channels), tf.float32, name="image")]
    return tf2onnx.convert.from_function(serving_function(model), input_signature=signature, opset=17)[0]
