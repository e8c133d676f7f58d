"""What pruning measures on a running network: gradients of the loss, and mean squares of activations.

They are plain arrays by the names of the model's graph (`u3p_edge.graph.keras_io.from_keras`), so that scoring channels by them
needs no TensorFlow (see `u3p_edge.pruning.importance`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from u3p_edge.errors import DataError
from u3p_edge.graph.inference import is_multi_label
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.graph.keras_layers import LAYERS
from u3p_edge.models.truth import fit_loss, one_hot
from u3p_edge.progress import Step, idle
from u3p_edge.training.losses import dice_cross_entropy

Gradients = Mapping[tuple[str, str], npt.NDArray[np.float32]]

_STATISTICS = ("mean", "variance")
"""Weights of batch normalisation that no gradient trains."""


def gradients(
    model: tf_keras.Model,
    images: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint8],
    *,
    batch_size: int = 8,
    step: Step = idle,
) -> tuple[Gradients, ...]:
    """Return the gradients of each batch's mean loss (Dice + cross-entropy) with respect to every weight.

    The network runs as at inference: batch normalisation uses its moving averages.

    Args:
        model: functional, one input [N, H, W, C], one output of probabilities [N, H, W, K].
        images: float32 [N, H, W, C], preprocessed. labels: uint8 [N, H, W].
        batch_size: images in a batch; the last may have fewer.
        step: called after each image.

    Returns:
        For each batch, gradients float32 in the weight's shape, by (node, weight's key in the node); moving averages have none.

    Raises:
        ModelError: a layer that a graph cannot have. DataError: images or labels that do not fit.
    """
    _check(model, images, labels)
    graph = from_keras(model)
    weights = [(n.name, key) for n in graph.nodes for key in n.weights if n.op != "batch_norm" or key not in _STATISTICS]
    twin = to_keras(graph)
    variables = [_variable(twin, name, key) for name, key in weights]
    multi_label = is_multi_label(graph)
    loss_of = fit_loss(dice_cross_entropy, multi_label)

    @tf.function(input_signature=_signature(images, labels))  # type: ignore[untyped-decorator]  # TensorFlow is not followed
    def differentiate(batch: tf.Tensor, truth: tf.Tensor) -> list[tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            predicted = twin(batch, training=False)
            loss = tf.reduce_mean(loss_of(one_hot(truth, predicted.shape[-1], multi_label), predicted))
        by_variable: list[tf.Tensor] = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        return by_variable

    batches = []
    for start in range(0, len(images), batch_size):
        part = slice(start, start + batch_size)
        by_variable = differentiate(tf.constant(images[part]), tf.constant(labels[part]))
        batches.append({key: _to_stored_order(graph, key, g.numpy()) for key, g in zip(weights, by_variable, strict=True)})
        for _ in images[part]:
            step()
    return tuple(batches)


def mean_squares(
    model: tf_keras.Model, images: npt.NDArray[np.float32], step: Step = idle
) -> Mapping[str, npt.NDArray[np.float64]]:
    """Return the mean square of every channel of every tensor, over images and pixels.

    Args:
        model: functional, one input [N, H, W, C].
        images: float32 [N, H, W, C], preprocessed.
        step: called after each image.

    Returns:
        float64 [C] for every node, the input too, by its name; also of vectors [N, C], which a dense gate reads.

    Raises:
        ModelError: a layer that a graph cannot have. DataError: images that do not fit.
    """
    _check(model, images)
    graph = from_keras(model)
    widths = {name: shape[-1] for name, shape in graph.shapes.items()}
    twin = to_keras(graph)
    probe = tf_keras.Model(twin.input, [twin.get_layer(name).output for name in widths])

    @tf.function(input_signature=_signature(images))  # type: ignore[untyped-decorator]  # TensorFlow is not followed
    def measure(image: tf.Tensor) -> tf.Tensor:
        # Reduced here and not in the probe: there every operation would become a Keras layer, which takes seconds.
        maps = tf.nest.flatten(probe(image, training=False))
        return tf.concat([tf.reduce_mean(tf.square(m), axis=range(len(m.shape) - 1)) for m in maps], axis=0)

    total = np.zeros(sum(widths.values()))
    for i in range(len(images)):
        total += measure(tf.constant(images[i : i + 1])).numpy()
        step()
    ends = np.cumsum(list(widths.values()))[:-1]
    return dict(zip(widths, np.split(total / len(images), ends), strict=True))


def _variable(model: tf_keras.Model, name: str, key: str) -> tf.Variable:
    """Return the variable of a node's weight."""
    layer = model.get_layer(name)
    return getattr(layer, LAYERS[type(layer).__name__].weights[key])


def _to_stored_order(graph: Graph, weight: tuple[str, str], gradient: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Return a gradient in the axis order of the node's weight: HWIO where Keras keeps a transposed kernel as HWOI."""
    name, key = weight
    return np.swapaxes(gradient, 2, 3) if graph[name].op == "conv_transpose" and key == "kernel" else gradient


def _signature(images: npt.NDArray[Any], *others: npt.NDArray[Any]) -> list[tf.TensorSpec]:
    return [tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in (images, *others)]


def _check(model: tf_keras.Model, images: npt.NDArray[np.float32], labels: npt.NDArray[np.uint8] | None = None) -> None:
    wanted = model.input_shape[1:]
    if not len(images) or images.shape[1:] != wanted:
        raise DataError(f"the model wants images [N, {', '.join(map(str, wanted))}], and they are {images.shape}")
    if labels is not None and labels.shape != images.shape[:3]:
        raise DataError(f"the images are {images.shape} and the labels {labels.shape}")
