"""Gradients against finite differences, squares against the reference interpreter."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from u3p_edge.errors import DataError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.graph.reference import run
from u3p_edge.pruning.importance.reconstruction import reconstruction
from u3p_edge.pruning.importance.taylor import taylor
from u3p_edge.training.losses import dice_cross_entropy
from u3p_edge.training.sensitivity import gradients, mean_squares

RNG = np.random.default_rng(0)
IMAGES = RNG.random((5, 8, 8, 2), np.float32)
LABELS = RNG.integers(0, 3, (5, 8, 8)).astype(np.uint8)


def network() -> tf_keras.Model:
    """Every kind of weight, no function with a corner, and a gate; batch normalisation's averages are not those of a batch."""
    layers = tf_keras.layers
    image = tf_keras.Input((8, 8, 2), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="tanh", name="conv")(image)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="sigmoid", name="depthwise")(x)
    up = layers.Conv2DTranspose(3, 2, strides=2, name="up")(x)
    gate = layers.Dense(3, activation="sigmoid", name="gate")(layers.GlobalAveragePooling2D(name="mean")(x))
    mask = layers.Softmax(name="soft")(up)
    gated = layers.Multiply(name="mask")([mask, layers.Reshape((1, 1, 3), name="map")(gate)])
    graph = from_keras(tf_keras.Model(image, gated))

    def drawn(node: Node) -> Node:
        own = {key: (0.3 + 0.5 * RNG.random(array.shape)).astype(np.float32) for key, array in node.weights.items()}
        return dataclasses.replace(node, weights=own)

    return to_keras(dataclasses.replace(graph, nodes=tuple(map(drawn, graph.nodes))))


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    return network()


def loss(graph: Graph, part: slice) -> float:
    """In float64, by the reference interpreter."""
    predicted = run(graph, {"image": IMAGES[part]}, dtype=np.float64)[graph.outputs[0]]
    return float(tf.reduce_mean(dice_cross_entropy(tf.one_hot(LABELS[part], 3), tf.constant(predicted))))


def test_gradients_are_the_loss_differences(model: tf_keras.Model) -> None:
    graph, seen = from_keras(model), []
    result = gradients(model, IMAGES, LABELS, batch_size=3, step=lambda *_: seen.append(1))
    assert (len(result), len(seen)) == (2, 5)
    expected = {(n.name, key) for n in graph.nodes for key in n.weights} - {("norm", "mean"), ("norm", "variance")}
    for batch, part in zip(result, (slice(0, 3), slice(3, 5)), strict=True):
        assert set(batch) == expected
        for (name, key), gradient in batch.items():
            weight = graph[name].weights[key]
            assert (gradient.dtype, gradient.shape) == (np.float32, weight.shape)
            # The place with the largest gradient: a transposed kernel of wrong axes would be wrong there.
            index = np.unravel_index(np.abs(gradient).argmax(), gradient.shape)
            rise, fall = (loss(moved(graph, name, key, index, step), part) for step in (1e-3, -1e-3))
            # float32 sums of some hundred terms, and a third derivative times 1e-6.
            assert gradient[index] == pytest.approx((rise - fall) / 2e-3, rel=2e-3, abs=1e-6), (name, key)


def moved(graph: Graph, name: str, key: str, place: tuple[np.intp, ...], step: float) -> Graph:
    weights = {k: array.astype(np.float64) for k, array in graph[name].weights.items()}
    weights[key][place] += step
    nodes = (dataclasses.replace(node, weights=weights) if node.name == name else node for node in graph.nodes)
    return dataclasses.replace(graph, nodes=tuple(nodes))


def test_mean_squares_are_those_of_the_reference(model: tf_keras.Model) -> None:
    graph, seen = from_keras(model), []
    result = mean_squares(model, IMAGES, lambda *_: seen.append(1))
    assert len(seen) == 5
    names = [node.name for node in graph.nodes]
    assert list(result) == names
    for name, value in run(graph, {"image": IMAGES}, names, dtype=np.float64).items():
        assert result[name].dtype == np.float64
        # float32 against float64, sums of at most 64 squares at a time.
        np.testing.assert_allclose(
            result[name], np.square(value).mean(axis=tuple(range(value.ndim - 1))), rtol=1e-5, err_msg=name
        )


def test_pruning_takes_both(model: tf_keras.Model) -> None:
    graph = from_keras(model)
    for scores in (taylor(graph, gradients(model, IMAGES, LABELS)), reconstruction(graph, mean_squares(model, IMAGES))):
        assert scores
        assert all((own > 0).all() for own in scores.values())


def test_what_does_not_fit_is_refused(model: tf_keras.Model) -> None:
    with pytest.raises(DataError, match="wants images"):
        mean_squares(model, IMAGES[:, :4])
    with pytest.raises(DataError, match="labels"):
        gradients(model, IMAGES, LABELS[:2])
    with pytest.raises(DataError, match="wants images"):
        gradients(model, IMAGES[:0], LABELS[:0])
