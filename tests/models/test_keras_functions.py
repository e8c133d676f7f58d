"""Functions in a model are layers of known names; models inside models become their layers; both compute the same as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.support.keras_files import SUFFIXES, save
from u3p_edge.errors import ModelError
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.graph.reference import run
from u3p_edge.models.keras_file import read_keras_file
from u3p_edge.models.keras_functions import FunctionCall, layer_for

L = tf_keras.layers
EPS = float(np.finfo(np.float32).eps)


def functions() -> tf_keras.Model:
    """Every kind of function that may be a layer, in the style of networks that call them between convolutions."""
    image = tf_keras.Input((16, 32, 1), name="scan")
    x = L.Conv2D(4, 3, padding="same")(image / 255.0)
    x = tf.nn.relu(L.BatchNormalization()(x))
    half = tf_keras.activations.swish(L.Conv2D(4, 3, strides=2, padding="same")(x))
    half = tf.nn.leaky_relu(half, alpha=0.1) + tf_keras.activations.elu(half)
    up = L.UpSampling2D(interpolation="bilinear")(half * 0.5 - 0.25)
    x = tf.concat([tf.nn.relu6(x), tf_keras.activations.relu(up), tf.maximum(up, x)], axis=-1)
    x = L.Conv2D(2, 1)(x * tf.math.sigmoid(x))
    return tf_keras.Model(image, tf.nn.softmax(x))


def resizing() -> tf_keras.Model:
    image = tf_keras.Input((16, 32, 1))
    x = L.Conv2D(2, 3, strides=2, padding="same")(image)
    x = tf.math.multiply(x, tf.constant([2.0, 0.5], shape=(1, 1, 1, 2)))
    x = tf.image.resize(x, (16, 32)) + tf.image.resize(x, (16, 32), method="nearest")
    return tf_keras.Model(image, L.Conv2D(1, 1, activation="sigmoid")(x))


def nested() -> tf_keras.Model:
    """An encoder of two outputs, a Sequential with an input and one without, and a model in one of them."""
    given = tf_keras.Input((16, 16, 2))
    encoder = tf_keras.Model(
        given, [L.Conv2D(4, 3, strides=2, padding="same", name="half")(given), L.ReLU()(given)], name="encoder"
    )
    block = tf_keras.Sequential(
        [tf_keras.Input((8, 8, 4)), L.Conv2D(3, 3, padding="same"), L.BatchNormalization()], name="block"
    )
    around = tf_keras.Sequential([tf_keras.Input((8, 8, 4)), block, L.UpSampling2D(2)], name="around")
    image = tf_keras.Input((16, 16, 1))
    half, whole = encoder(L.Conv2D(2, 3, padding="same")(image))
    last = tf_keras.Sequential([L.Conv2D(1, 1, activation="sigmoid", name="mask")], name="last")
    return tf_keras.Model(image, last(L.Concatenate()([around(half), whole])))


def scramble(model: tf_keras.Model) -> tf_keras.Model:
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.2, 1.0, w.shape).astype(np.float32) - 0.6 * (w.ndim > 1) for w in model.get_weights()])
    return model


@pytest.mark.parametrize(
    ("build", "suffix"),
    # An .h5 file does not say the size that a resize reads, and so not its factor.
    [(functions, ".keras"), (functions, ".h5"), (nested, ".keras"), (nested, ".h5"), (resizing, ".keras")],
)
def test_the_layers_compute_what_the_model_computed(tmp_path: Path, build: Any, suffix: str) -> None:
    model = scramble(build())
    brightest = 255 if build is functions else 1
    image = np.random.default_rng(1).uniform(0, brightest, (1, *model.input_shape[1:])).astype(np.float32)
    expected = model(image).numpy()
    result = read_keras_file(save(model, tmp_path / f"m{suffix}"))
    # Three convolutions of at most 9 * 12 products; x / 255 becomes a product. Probabilities are at most 1.
    tolerance = 3 * (9 * 12 + 2) * EPS
    np.testing.assert_allclose(result(image), expected, rtol=0, atol=tolerance)
    graph = from_keras(result)
    (computed,) = run(graph, {graph.inputs[0]: image}).values()
    np.testing.assert_allclose(computed, expected, rtol=0, atol=tolerance)
    assert expected.std() > 10 * tolerance, "a flat map compares nothing"
    kinds = {type(layer).__name__ for layer in result.layers}
    assert "TFOpLambda" not in kinds


def test_a_model_inside_the_model_becomes_its_nodes() -> None:
    graph = from_keras(nested())
    assert {"encoder.half", "last.mask"} <= {node.name for node in graph.nodes}
    assert [node.name for node in graph.nodes if node.op == "input"] == list(graph.inputs)


IMAGE, OTHER = ("image", 0, 0), ("other", 0, 0)


@pytest.mark.parametrize(
    ("function", "inputs", "arguments", "shape"),
    [
        ("nn.conv2d", (IMAGE,), {}, ()),
        ("math.add", (IMAGE,), {"y": [1.0, 2.0]}, ()),
        ("math.add", (IMAGE,), {"y": [1.0, 2.0]}, (None, 8, 8, 3)),
        ("math.multiply", (IMAGE,), {"y": [[1.0], [2.0]]}, (None, 8, 2, 1)),
        ("math.truediv", (IMAGE,), {"y": 0.0}, ()),
        ("math.truediv", (IMAGE, OTHER), {}, ()),
        ("nn.relu", (), {}, ()),
        ("nn.gelu", (IMAGE,), {"approximate": True}, ()),
        ("nn.leaky_relu", (IMAGE,), {"alpha": "much"}, ()),
        ("concat", (IMAGE,), {"axis": -1}, ()),
        ("image.resize", (IMAGE,), {"size": [30, 32]}, (None, 16, 16, 2)),
        ("image.resize", (IMAGE,), {"size": [32, 32]}, (None, None, None, 2)),
        ("image.resize", (IMAGE,), {"size": [32, 32], "method": "bicubic"}, (None, 16, 16, 2)),
        ("image.resize", (IMAGE,), {"size": [32, 32], "antialias": True}, (None, 16, 16, 2)),
        ("io.write_file", (IMAGE,), {}, ()),
    ],
)
def test_what_is_no_known_layer_stays_a_function(function: str, inputs: Any, arguments: Any, shape: Any) -> None:
    assert layer_for(FunctionCall(function, inputs, arguments, shape)) is None


@SUFFIXES
@pytest.mark.parametrize(
    "function", [lambda x: tf.cumsum(x), lambda x: 1.0 - x, lambda x: tf.image.resize(x, (24, 24)), lambda x: x[:, 1:]]
)
def test_a_function_without_a_layer_is_refused_with_its_layer(tmp_path: Path, suffix: str, function: Any) -> None:
    image = tf_keras.Input((16, 16, 1))
    model = tf_keras.Model(image, function(L.Conv2D(1, 1)(image)))
    with pytest.raises(ModelError, match=r"layer 'tf.*' uses '(TFOp|SlicingOp)Lambda'.*calls a TensorFlow function by name"):
        read_keras_file(save(model, tmp_path / f"m{suffix}"))
