"""Folding changes no number beyond float rounding, and leaves only what an integer kernel can be."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras
from int8_models import blobs, every_op, unet, with_statistics
from tf_keras import layers

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, subgraph
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.quantize.fold import fold, function


def folded(model: tf_keras.Model) -> Graph:
    return fold(from_keras(model))


def assert_same_function(model: tf_keras.Model, graph: Graph) -> None:
    """Some tens of layers each round by 6e-8 of their values, so logits agree to 1e-5 of the largest, and probabilities to
    a quarter of that, the steepest slope of a sigmoid or softmax."""
    images, _ = blobs(3, model.input_shape[1])
    logits = [node.inputs[0] for node in graph.nodes if function(node) in ("sigmoid", "softmax")]
    largest = max(float(np.abs(to_keras(subgraph(graph, [name]))(images)).max()) for name in logits)
    tolerance = 1e-5 * max(1.0, largest) / 4
    np.testing.assert_allclose(to_keras(graph)(images).numpy(), model(images, training=False).numpy(), atol=tolerance, rtol=0)


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


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (layers.LayerNormalization(name="culprit"), "layer normalisation"),
        (layers.Activation("tanh", name="culprit"), "tanh"),
        (layers.LeakyReLU(name="culprit"), "leaky_relu"),
        (layers.ReLU(max_value=6, name="culprit"), "plain ReLU"),
        (layers.Conv2D(4, 3, groups=2, padding="same", name="culprit"), "grouped"),
        (layers.BatchNormalization(axis=1, name="culprit"), "channel axis"),
        (layers.GlobalAveragePooling2D(keepdims=True, name="culprit"), "global_average_pool"),
    ],
)
def test_what_has_no_exact_integer_twin_is_refused_by_name(layer: tf_keras.layers.Layer, said: str) -> None:
    image = layers.Input((8, 8, 2), name="image")
    model = tf_keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(layer(image)))
    with pytest.raises(ModelError, match=said) as error:
        folded(model)
    assert "'culprit'" in str(error.value)
    assert "post-training quantization" in str(error.value)
