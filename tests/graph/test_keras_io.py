"""Reading and writing tf_keras models: the round trip is exact, and what cannot be said is refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.support.article_model import Builder
from tests.support.slow import mark_slow
from u3p_edge.errors import ModelError
from u3p_edge.graph import keras_own
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.graph.keras_layers import LAYERS

L = tf_keras.layers


def randomise(model: tf_keras.Model, seed: int = 0) -> tf_keras.Model:
    """Every weight random, so that one lost or swapped shows; variances stay positive."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.uniform(0.2, 1.0, w.shape).astype(np.float32) for w in model.get_weights()])
    return model


def outputs(model: tf_keras.Model, seed: int = 1) -> list[np.ndarray[Any, Any]]:
    images = np.random.default_rng(seed).normal(size=(2, *model.input_shape[1:])).astype(np.float32)
    outputs = model(images, training=False)
    return [np.asarray(x) for x in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]


def plain(model: tf_keras.Model) -> Any:
    """The config as JSON says it, where a tuple is a list."""
    return json.loads(json.dumps(model.get_config()))


def assert_round_trip(model: tf_keras.Model) -> Graph:
    graph = from_keras(model)
    again = to_keras(graph)
    assert plain(again) == plain(model)
    assert [v.name for v in again.weights] == [v.name for v in model.weights]
    for mine, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(outputs(again), outputs(model), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert from_keras(again) == graph
    shapes = graph.shapes
    for name, tensor in zip(graph.outputs, model.outputs, strict=True):
        assert shapes[name][1:] == tuple(tensor.shape[1:])
    return graph


ONE = {
    "Conv2D": lambda: L.Conv2D(4, (3, 1), strides=2, padding="same", activation="relu", kernel_regularizer="l2"),
    "Conv2D-groups": lambda: L.Conv2D(4, 3, groups=2, dilation_rate=2, use_bias=False),
    "Conv2DTranspose": lambda: L.Conv2DTranspose(4, 3, strides=2, padding="same", activation="tanh"),
    "Conv2DTranspose-valid": lambda: L.Conv2DTranspose(4, (3, 5), strides=2),
    "Conv2DTranspose-extra": lambda: L.Conv2DTranspose(4, 3, strides=2, padding="same", output_padding=0),
    "DepthwiseConv2D": lambda: L.DepthwiseConv2D(3, depth_multiplier=2, padding="same"),
    "SeparableConv2D": lambda: L.SeparableConv2D(5, 3, strides=2, depth_multiplier=2, padding="same", activation="relu"),
    "Dense": lambda: L.Dense(5, activation="softmax", kernel_constraint="non_neg"),
    "BatchNormalization": lambda: L.BatchNormalization(momentum=0.9, epsilon=1e-2, scale=False, trainable=False),
    "LayerNormalization": lambda: L.LayerNormalization(axis=(1, 2, 3), center=False),
    "GroupNormalization": lambda: L.GroupNormalization(2, epsilon=1e-2, scale=False),
    "Activation-tf": lambda: L.Activation(tf.nn.relu),
    "Activation": lambda: L.Activation("sigmoid"),
    "ReLU": lambda: L.ReLU(max_value=6.0, negative_slope=0.1),
    "LeakyReLU": lambda: L.LeakyReLU(0.2),
    "ELU": lambda: L.ELU(0.7),
    "PReLU": lambda: L.PReLU(shared_axes=[1, 2]),
    "Softmax": lambda: L.Softmax(axis=3),
    "MaxPooling2D": lambda: L.MaxPooling2D((2, 3), strides=2, padding="same"),
    "AveragePooling2D": lambda: L.AveragePooling2D(2),
    "GlobalMaxPooling2D": lambda: L.GlobalMaxPooling2D(),
    "GlobalAveragePooling2D": lambda: L.GlobalAveragePooling2D(keepdims=True),
    "UpSampling2D": lambda: L.UpSampling2D((2, 4)),
    "UpSampling2D-bilinear": lambda: L.UpSampling2D(3, interpolation="bilinear"),
    "Cropping2D": lambda: L.Cropping2D(((1, 2), (0, 3))),
    "ZeroPadding2D": lambda: L.ZeroPadding2D(((1, 2), (0, 3))),
    "Reshape": lambda: L.Reshape((-1, 2)),
    "Flatten": lambda: L.Flatten(),
    "Rescaling": lambda: L.Rescaling(1 / 255, offset=-0.5),
    "Identity": lambda: L.Identity(),
    "Dropout": lambda: L.Dropout(0.3, seed=1),
    "SpatialDropout2D": lambda: L.SpatialDropout2D(0.3),
    "AlphaDropout": lambda: L.AlphaDropout(0.3),
    "GaussianDropout": lambda: L.GaussianDropout(0.3),
    "GaussianNoise": lambda: L.GaussianNoise(0.3),
}
OWN: dict[str, Callable[[], Any]] = {
    "CropMaps": lambda: keras_own.CropMaps(((1, 2), (0, 3)), (1, 3)),
    "SpaceToDepth": lambda: keras_own.SpaceToDepth(2),
    "DepthToSpace": lambda: keras_own.DepthToSpace(2),
    "Rsqrt": lambda: keras_own.Rsqrt(),
}
MERGES = ("Concatenate", "Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average")


@pytest.mark.parametrize("kind", ONE)
def test_a_layer_survives_the_round_trip(kind: str) -> None:
    inputs = tf_keras.Input((9, 11, 4), name="in")
    graph = assert_round_trip(randomise(tf_keras.Model(inputs, ONE[kind]()(inputs), name="one")))
    assert graph.nodes[1].op == LAYERS[kind.split("-")[0]].op


@pytest.mark.parametrize("kind", OWN)
def test_our_own_layer_survives_the_round_trip(kind: str) -> None:
    inputs = tf_keras.Input((8, 12, 4), name="in")
    graph = assert_round_trip(tf_keras.Model(inputs, OWN[kind]()(inputs), name="one"))
    assert graph.nodes[1].op == LAYERS[kind].op


def test_a_crop_of_all_channels_is_keras_own_layer() -> None:
    graph = Graph((Node("image", "input", attrs={"shape": (None, 8, 8, 3)}), crop()), ("image",), ("y",))
    assert type(to_keras(graph).get_layer("y")) is L.Cropping2D
    some = Graph((graph["image"], crop(channels=(0, 3))), ("image",), ("y",))
    assert type(to_keras(some).get_layer("y")) is keras_own.CropMaps
    assert [from_keras(to_keras(of))["y"].attrs["channels"] for of in (graph, some)] == [None, (0, 3)]


def crop(**attrs: Any) -> Node:
    return Node("y", "crop", ("image",), {"cropping": ((1, 0), (0, 2)), **attrs})


@pytest.mark.parametrize("kind", MERGES)
def test_a_merge_survives_the_round_trip_with_its_inputs_in_order(kind: str) -> None:
    inputs = tf_keras.Input((8, 8, 4), name="in")
    a, b = L.Activation("relu", name="a")(inputs), L.Activation("tanh", name="b")(inputs)
    graph = assert_round_trip(tf_keras.Model(inputs, getattr(L, kind)(name="merged")([b, a])))
    assert graph["merged"].inputs == ("b", "a")


def test_every_layer_of_the_table_is_tested() -> None:
    once = {"InputLayer", "Normalization"}  # the latter is written as a Rescaling, see below
    assert {name.split("-")[0] for name in ONE} | set(OWN) | set(MERGES) | once == set(LAYERS)


@pytest.mark.parametrize(
    "layer", [L.Normalization(mean=[1.0, -2.0], variance=[4.0, 0.25]), L.Normalization(), L.Normalization(None)]
)
def test_a_normalization_of_pixels_is_a_scale_and_a_shift(layer: Any) -> None:
    images = np.random.default_rng(0).normal(3, 2, (5, 8, 8, 2)).astype(np.float32)
    if layer.input_mean is None:
        layer.adapt(images)
    inputs = tf_keras.Input((8, 8, 2))
    model = tf_keras.Model(inputs, layer(inputs))
    graph = from_keras(model)
    assert [node.op for node in graph.nodes] == ["input", "rescale"]
    # Two roundings of values below 40, and as many of the difference that Keras takes first.
    np.testing.assert_allclose(to_keras(graph)(images), model(images), rtol=0, atol=4 * 40 * 2**-24)


def test_inputs_of_lower_rank_are_aligned_as_keras_does() -> None:
    inputs = tf_keras.Input((8, 6, 4))
    gate = L.GlobalMaxPooling2D()(inputs)
    assert_round_trip(tf_keras.Model(inputs, L.Multiply()([inputs, gate])))


def test_a_sequential_model_reads_as_the_functional_one() -> None:
    model = tf_keras.Sequential([tf_keras.Input((8, 8, 1)), L.Conv2D(2, 3), L.ReLU()])
    np.testing.assert_array_equal(outputs(to_keras(from_keras(model)))[0], outputs(model)[0])


def test_outputs_given_as_a_dictionary_come_in_keras_flat_order() -> None:
    inputs = tf_keras.Input((8, 8, 1))
    model = tf_keras.Model(inputs, {"b": L.ReLU(name="one")(inputs), "a": L.Flatten(name="two")(inputs)})
    assert from_keras(model).outputs == tuple(tensor.node.layer.name for tensor in model.outputs) == ("two", "one")


def test_training_false_in_a_call_is_kept() -> None:
    inputs = tf_keras.Input((8, 8, 4))
    assert_round_trip(tf_keras.Model(inputs, L.BatchNormalization()(inputs, training=False)))


def test_a_weightless_layer_called_twice_becomes_two_nodes() -> None:
    inputs = tf_keras.Input((8, 8, 2))
    relu = L.ReLU(name="relu")
    x = relu(L.Conv2D(3, 3, name="a")(inputs))
    model = tf_keras.Model(inputs, relu(L.Conv2D(3, 3, name="b")(x)))
    graph = from_keras(model)
    assert [n.name for n in graph.nodes if n.op == "relu"] == ["relu", "relu_call1"]
    np.testing.assert_array_equal(outputs(to_keras(graph))[0], outputs(model)[0])


def called_twice() -> Any:
    inner = tf_keras.Sequential([tf_keras.Input((8, 8, 2)), L.Conv2D(2, 1)], name="inner")
    inputs = tf_keras.Input((8, 8, 2))
    return tf_keras.Model(inputs, inner(inner(inputs)))


def shared_weights() -> Any:
    inputs = tf_keras.Input((8, 8, 2))
    conv = L.Conv2D(2, 3, padding="same", name="twice")
    return tf_keras.Model(inputs, conv(conv(inputs)))


def single(layer: Any, **options: Any) -> Any:
    inputs = tf_keras.Input((8, 8, 2))
    return tf_keras.Model(inputs, layer(inputs, **options))


def relu(x: Any) -> Any:  # a custom function in a known name
    return 5 * x


class Conv2D(tf_keras.layers.Conv2D):  # a custom class in a known name
    pass


class SpaceToDepth(tf_keras.layers.Layer):  # a class that is not ours in the name of one that is
    pass


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: single(SpaceToDepth(name="odd")), "'odd' of class SpaceToDepth"),
        (lambda: single(L.Lambda(lambda x: x, name="odd")), "'odd' of class Lambda"),
        (lambda: single(L.UnitNormalization(name="odd")), "'odd' of class UnitNormalization"),
        (lambda: single(L.Normalization(mean=1.0, variance=2.0, invert=True, name="odd")), "'odd'.*turns a normalisation back"),
        (lambda: single(L.Normalization((1, 2, 3), name="odd")), "'odd'.*normalises every pixel by itself"),
        (lambda: single(Conv2D(2, 3, name="odd")), "'odd' of class Conv2D"),
        (lambda: single(L.Conv2D(2, 3, name="odd", activation=lambda x: x)), "'odd' of class Conv2D.*activation"),
        (lambda: single(L.Activation(relu, name="odd")), "'odd' of class Activation.*custom function"),
        (lambda: single(L.UpSampling2D(2, interpolation="bicubic", name="odd")), "'odd'.*interpolation"),
        (lambda: single(L.MaxPooling2D(2, data_format="channels_first", name="odd")), "'odd'.*channels_first"),
        (lambda: single(L.Dropout(0.1, name="odd"), training=True), "'odd'.*training=True"),
        (lambda: called_twice(), "'inner' of class Sequential.*it is a model that is called 2 times"),
        (lambda: shared_weights(), "'twice' of class Conv2D.*2 times"),
        (lambda: object(), "object is not a tf_keras model"),
        (lambda: type("Sub", (tf_keras.Model,), {})(), "not a functional Keras model"),
    ],
)
def test_what_cannot_be_said_is_refused_by_name(build: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        from_keras(build())


def test_nodes_made_by_hand_get_keras_defaults() -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 3, 1, 2)).astype(np.float32)
    graph = Graph(
        (
            Node("image", "input", attrs={"shape": (None, 16, 16, 1)}),
            Node("c", "conv", ("image",), {"padding": "same"}, {"kernel": kernel, "bias": np.ones(2, np.float32)}),
            Node("crop", "crop", ("c",), {"cropping": ((1, 1), (2, 2))}),
        ),
        ("image",),
        ("crop",),
    )
    model = to_keras(graph)
    assert model.output_shape == (None, 14, 12, 2)
    np.testing.assert_array_equal(model.get_layer("c").kernel.numpy(), kernel)


ARTICLE: list[dict[str, Any]] = [
    {"using_cgm": True, "class_num": 3, "kernel_size": 5},
    {"use_residual": True, "double_features": True, "norm_type": "layer", "down_pattern": "normconv"},
    {"using_deep_supervision": False, "norm_type": None, "down_pattern": "avgpooling"},
]


# Each kind of the others' layers survives alone above.
@pytest.mark.parametrize("options", mark_slow(ARTICLE, ARTICLE[1:]), ids=str)
def test_the_articles_models_survive_the_round_trip(article_builder: Builder, options: dict[str, Any]) -> None:
    assert_round_trip(article_builder((32, 48, 1), initial_features=4, **options))
