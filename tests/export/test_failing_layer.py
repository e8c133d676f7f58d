"""What a library raises in a conversion becomes one sentence that names the layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tf_keras

from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import ModelError
from u3p_edge.export.failing_layer import name_failing_layer
from u3p_edge.export.onnx import float_writer
from u3p_edge.export.tflite import converter

L = tf_keras.layers
METADATA = default_metadata(Preprocessing(16, 16), labels=2)
IMAGES = np.random.default_rng(0).uniform(0, 1, (4, 16, 16, 1)).astype(np.float32)


def network(layer: Any) -> tf_keras.Model:
    image = tf_keras.Input((16, 16, 1), name="image")
    x = layer(L.Conv2D(4, 3, padding="same", name="first")(image))
    return tf_keras.Model(image, L.Conv2D(1, 1, activation="sigmoid", name="head")(x))


@pytest.mark.parametrize(
    ("layer", "named"),
    [
        (L.Activation("gelu", name="sly"), r"layer 'sly' \(activation, gelu\) cannot be converted to float32 ONNX: "),
        (
            L.Conv2D(4, 3, groups=2, padding="same", name="halves"),
            r"layer 'halves' \(conv\) cannot be converted to float32 ONNX: ",
        ),
    ],
)
def test_a_layer_that_tf2onnx_lacks_is_named(layer: Any, named: str) -> None:
    with pytest.raises(ModelError, match=named):
        float_writer.write_float_onnx(network(layer), METADATA)


def test_a_layer_that_would_be_float_among_integers_is_named() -> None:
    with pytest.raises(ModelError, match=r"layer 'bent' \(elu\) cannot be converted to int8 TFLite: .* no integer form of ELU"):
        converter.convert_int8(network(L.ELU(name="bent")), METADATA, calibration=IMAGES)


def test_the_same_network_without_that_layer_is_converted() -> None:
    model = network(L.ReLU())
    assert float_writer.write_float_onnx(model, METADATA).graph.output[0].name == "mask"
    assert converter.convert_int8(model, METADATA, calibration=IMAGES)


def fail(error: BaseException) -> Callable[[tf_keras.Model], None]:
    def convert(_part: tf_keras.Model) -> None:
        raise error

    return convert


def test_where_each_layer_can_be_converted_alone_the_model_is_named() -> None:
    model = network(L.ReLU())
    with (
        pytest.raises(ModelError, match=r"^the model cannot be converted to X: two of them$"),
        name_failing_layer(model, "X", lambda _: None),
    ):
        raise ValueError("two of them\nat once")


@pytest.mark.parametrize("error", [MemoryError(), OSError(28, "No space left"), KeyboardInterrupt(), ModelError("ours")])
def test_what_is_no_fault_of_a_layer_is_not_renamed(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, name_failing_layer(network(L.ReLU()), "X", fail(error)):
        raise error
    assert raised.value is error
