"""Write a tf_keras inference model as a float32 ONNX file, by tf2onnx.

The input `image` is [1, H, W, C] and the output `mask` is [1, H, W, K], as in TFLite; inside the file, tf2onnx transposes.
"""

from __future__ import annotations

from typing import Any

import onnx
import tensorflow as tf
import tf2onnx
from onnx import helper

from u3p_edge.config.metadata import METADATA_KEY, Metadata
from u3p_edge.export.failing_layer import name_failing_layer
from u3p_edge.export.onnx.int8_writer import OPSET
from u3p_edge.export.onnx.names import name_by_content
from u3p_edge.export.tflite.converter import serving_function


def write_float_onnx(model: Any, metadata: Metadata) -> onnx.ModelProto:
    """Return a float32 ONNX model (opset 17) with the metadata in its metadata_props, checked by onnx.checker.

    The same model gives the same bytes, in any process.

    Raises:
        ModelError: where tf2onnx cannot convert the model; the message names the layer.
    """
    with name_failing_layer(model, "float32 ONNX", _convert):
        converted = _convert(model)
    helper.set_model_props(converted, {METADATA_KEY: metadata.to_json()})
    return converted


def _convert(model: Any) -> onnx.ModelProto:
    height, width, channels = model.inputs[0].shape[1:]
    signature = [tf.TensorSpec((1, height, width, channels), tf.float32, name="image")]
    converted, _ = tf2onnx.convert.from_function(serving_function(model), input_signature=signature, opset=OPSET)
    named = name_by_content(converted)
    onnx.checker.check_model(named, full_check=True)
    return named
