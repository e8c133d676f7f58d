"""Folding changes no number beyond float rounding, leaves only what a kernel can be, and refuses nothing."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras
from tf_keras import layers

from tests.support.int8_models import blobs, every_op, unet, with_statistics
from u3p_edge.graph.activation import function
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph, Node, subgraph
from u3p_edge.graph.keras_io import from_keras, to_keras


def folded(model: tf_keras.Model) -> Graph:
    return fold_batch_norm(from_keras(model))


def assert_same_function(model: tf_keras.Model, graph: Graph) -> None:
    """Some tens of layers each round by 6e-8 of their values, so logits agree to 1e-5 of the largest, and probabilities to
    a quarter of that, the steepest slope of a sigmoid or softmax."""
    images, _ = blobs(3, model.input_shape[1])
    logits = [node.inputs[0] for node in graph.nodes if function(node) in ("sigmoid", "softmax")]
    largest = max(float(np.abs(to_keras(subgraph(graph, [name]))(images)).max()) for name in logits)
    tolerance = 1e-5 * max(1.0, largest) / 4
    np.testing.assert_allclose(to_keras(graph)(images).numpy(), model(images, training=False).numpy(), atol=tolerance, rtol=0)


@pytest.mark.slow  # `every_op` below has each kind, and `tests/conversion` writes folded networks of this size
@pytest.mark.parametrize(
    "options",
    [
        {"residual": True, "classes": 3, "down_pattern": "conv", "down_normalization": "batch"},
        {"down_pattern": "normconv", "down_normalization": "batch", "double_features": True},
    ],
)
def test_folded_unet_is_the_same_function_without_normalisation(options: dict[str, object]) -> None:
    model = with_statistics(unet(**options))  # type: ignore[arg-type]  # options differ in type
    graph = folded(model)
    assert {node.op for node in graph.nodes} <= {"input", "conv", "max_pool", "upsample", "concat", "add", "activation"}
    left = [function(node) for node in graph.nodes if node.op == "activation"]
    residual_relus = 5 if options.get("residual") else 0  # those after an addition: the addition has no place for them
    assert sorted(left) == sorted(["relu"] * residual_relus + ["softmax" if options.get("classes") else "sigmoid"])
    assert_same_function(model, graph)


def test_every_kind_of_normalisation_is_folded_where_it_stands() -> None:
    model = every_op()
    graph = folded(model)
    assert_same_function(model, graph)
    assert not [node for node in graph.nodes if node.op == "batch_norm"]
    assert "norm_before" not in graph, "into the strided convolution, which never pads at an even size"
    assert graph["norm_alone"].op == "conv", "the 3x3 convolution behind it pads, so it becomes a 1x1 convolution"
    kernel = graph["norm_alone"].weights["kernel"][0, 0]
    assert np.count_nonzero(kernel - np.diag(np.diag(kernel))) == 0


def test_normalisation_before_a_padding_convolution_is_not_folded_into_it() -> None:
    """The border zeros are zeros of the normalised map; folding forwards would move them by the shift."""
    image = layers.Input((6, 6, 2), name="image")
    norm = layers.BatchNormalization(name="norm")(image)
    mask = layers.Conv2D(1, 3, padding="same", activation="sigmoid", name="mask")(norm)
    model = with_statistics(tf_keras.Model(image, mask))
    graph = folded(model)
    assert graph["norm"].op == "conv"
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    np.testing.assert_allclose(to_keras(graph)(images).numpy(), model(images).numpy(), atol=1e-6)


def test_an_odd_size_makes_a_strided_convolution_pad() -> None:
    image = layers.Input((7, 7, 1), name="image")
    norm = layers.BatchNormalization(name="norm")(image)
    model = tf_keras.Model(image, layers.Conv2D(1, 2, strides=2, padding="same", activation="sigmoid")(norm))
    assert "norm" in folded(model)


def test_a_convolution_that_others_read_keeps_its_own_output() -> None:
    """Linear output to an addition and ReLU of it elsewhere: fusing either would change the other."""
    image = layers.Input((8, 8, 1), name="image")
    linear = layers.Conv2D(2, 3, padding="same", name="linear")(image)
    norm = layers.BatchNormalization(name="norm")(linear)
    relu = layers.ReLU(name="relu")(linear)
    mask = layers.Conv2D(1, 1, activation="sigmoid", name="mask")(layers.Add(name="sum")([norm, relu]))
    model = with_statistics(tf_keras.Model(image, mask))
    graph = folded(model)
    assert function(graph["linear"]) == "linear"
    assert "relu" in graph
    assert_same_function(model, graph)


def weighted(kind: str) -> tf_keras.layers.Layer:
    return {
        "depthwise": lambda: layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", name="linear"),
        "transposed": lambda: layers.Conv2DTranspose(6, 3, strides=2, padding="same", use_bias=False, name="linear"),
        "grouped": lambda: layers.Conv2D(6, 3, groups=3, padding="same", name="linear"),
        "dilated": lambda: layers.Conv2D(6, 3, dilation_rate=2, padding="same", name="linear"),
    }[kind]()


def agree(model: tf_keras.Model, graph: Graph) -> None:
    """Two or three layers of some tens of products each, on values near 1: 1e-5 is a hundred roundings of 6e-8."""
    images = np.random.default_rng(0).normal(size=(2, *model.input_shape[1:])).astype(np.float32)
    wanted = model(images, training=False).numpy()
    tolerance = 1e-5 * max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(to_keras(graph)(images).numpy(), wanted, atol=tolerance, rtol=0)


@pytest.mark.parametrize("kind", ["depthwise", "transposed", "grouped", "dilated"])
def test_normalisation_and_relu_behind_any_convolution_go_into_it(kind: str) -> None:
    tf_keras.utils.set_random_seed(4)
    image = layers.Input((8, 10, 3), name="image")
    model = with_statistics(tf_keras.Model(image, layers.ReLU()(layers.BatchNormalization()(weighted(kind)(image)))))
    graph = folded(model)
    assert [node.name for node in graph.nodes] == ["image", "linear"]
    assert function(graph["linear"]) == "relu"
    agree(model, graph)


@pytest.mark.parametrize("kind", ["depthwise", "transposed", "grouped"])
def test_normalisation_before_a_convolution_of_another_kind_becomes_one_of_its_own(kind: str) -> None:
    tf_keras.utils.set_random_seed(4)
    image = layers.Input((8, 10, 3), name="image")
    model = with_statistics(tf_keras.Model(image, weighted(kind)(layers.BatchNormalization(name="norm")(image))))
    graph = folded(model)
    assert graph["norm"].op == "conv"
    agree(model, graph)


def test_any_activation_but_relu_leaves_its_convolution_and_keeps_the_name() -> None:
    image = layers.Input((6, 6, 2), name="image")
    other = layers.Conv2D(2, 3, padding="same", name="mask_logits")(image)
    model = tf_keras.Model(image, layers.Conv2D(2, 1, activation="tanh", name="mask")(other))
    graph = folded(model)
    assert [(node.name, node.op, function(node)) for node in graph.nodes[1:]] == [
        ("mask_logits", "conv", "linear"),  # the name was taken
        ("mask_logits_", "conv", "linear"),
        ("mask", "activation", "tanh"),
    ]
    agree(model, graph)


@pytest.mark.parametrize(
    "layer",
    [
        layers.BatchNormalization(axis=1, name="odd"),
        layers.ReLU(max_value=6, name="odd"),
        layers.LeakyReLU(name="odd"),
        layers.LayerNormalization(name="odd"),
        layers.Softmax(axis=1, name="odd"),
    ],
)
def test_what_it_does_not_know_is_left_as_it_is(layer: tf_keras.layers.Layer) -> None:
    image = layers.Input((6, 6, 2), name="image")
    model = with_statistics(tf_keras.Model(image, layer(layers.Conv2D(3, 3, padding="same")(image))))
    assert folded(model).nodes == from_keras(model).nodes


def test_normalisation_of_features_is_left_as_it_is() -> None:
    image = layers.Input((4, 4, 2), name="image")
    model = tf_keras.Model(image, layers.BatchNormalization(name="norm")(layers.Dense(3)(layers.Flatten()(image))))
    assert folded(model)["norm"].op == "batch_norm"


def test_what_the_graph_gives_out_keeps_its_values() -> None:
    """A convolution that is an output is read by more than the one node behind it."""
    image = layers.Input((6, 6, 2), name="image")
    linear = layers.Conv2D(3, 1, name="linear")(image)
    norm = layers.BatchNormalization(name="norm")(linear)
    model = with_statistics(tf_keras.Model(image, [linear, norm, layers.ReLU(name="relu")(norm)]))
    graph = folded(model)
    images = np.random.default_rng(0).normal(size=(2, 6, 6, 2)).astype(np.float32)
    for found, wanted in zip(to_keras(graph)(images), model(images, training=False), strict=True):
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), atol=1e-5)


def test_identities_are_gone_wherever_they_stand() -> None:
    kernel = {"kernel": np.ones((1, 1, 1, 1), np.float32)}
    nodes = (
        Node("image", "input", (), {"shape": (None, 4, 4, 1)}),
        Node("same", "identity", ("image",)),
        Node("linear", "conv", ("same",), {}, kernel),
        Node("noise", "gaussian_noise", ("linear",)),
        Node("end", "activation", ("noise",), {"function": "linear"}),
    )
    graph = fold_batch_norm(Graph(nodes, ("image",), ("end",)))
    assert [node.name for node in graph.nodes] == ["image", "linear"]
    assert graph.outputs == ("linear",)
    assert graph["linear"].inputs == ("image",)


def test_swish_becomes_a_product_with_a_sigmoid() -> None:
    image = tf_keras.Input((8, 8, 2), name="image")
    x = tf_keras.layers.Conv2D(3, 3, activation="swish", name="conv")(image)
    x = tf_keras.layers.Activation("swish", name="again")(x)
    graph = from_keras(tf_keras.Model(image, x))
    folded = fold_batch_norm(graph)
    assert [(node.op, node.attrs.get("function")) for node in folded.nodes[2:]] == [
        ("activation", "sigmoid"), ("multiply", None), ("activation", "sigmoid"), ("multiply", None),
    ]  # fmt: skip
    assert folded.outputs == graph.outputs
    images = np.random.default_rng(0).standard_normal((2, 8, 8, 2)).astype(np.float32)
    # A product and a sigmoid in another order of rounding: two steps of float32, twice.
    np.testing.assert_allclose(to_keras(folded)(images), to_keras(graph)(images), rtol=1e-5, atol=1e-6)
