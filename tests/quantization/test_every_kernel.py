"""Quantization-aware training of the layers that a UNet 3+ of ours lacks: every kind of kernel, norm and activation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras import layers as L

from tests.support.int8_models import blobs, one_hot
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.graph.scheme import Quantized
from u3p_edge.quantization.fake_quant import fake_quantize, read_integers
from u3p_edge.quantization.finetune import train_qat
from u3p_edge.quantization.integers import kernel_scales
from u3p_edge.quantization.quantizers import kernel_bounds_of
from u3p_edge.runtime import open_session

IMAGES, LABELS = blobs(12, 16)
TRUTH = one_hot(LABELS, 3)


def loss(truth: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    return -tf.reduce_mean(tf.reduce_sum(truth * tf.math.log(probabilities + 1e-6), axis=-1), axis=(1, 2))


def network() -> tf_keras.Model:
    tf_keras.utils.set_random_seed(3)
    image = L.Input((16, 16, 1), name="image")
    x = L.Activation("swish")(L.Conv2D(8, 3, padding="same", name="first")(image))
    x = L.ReLU(6.0)(L.BatchNormalization()(L.DepthwiseConv2D(3, strides=2, padding="same", name="deep")(x)))
    x = L.LeakyReLU(0.1)(L.GroupNormalization(2, name="groups")(L.Conv2D(8, 1, name="mixed")(x)))
    gate = L.Dense(8, "sigmoid", name="gate")(L.GlobalAveragePooling2D()(x))
    x = L.Multiply()([x, L.Reshape((1, 1, 8))(gate)])
    x = L.Conv2DTranspose(6, 4, strides=2, padding="same", name="up")(x)
    x = L.Activation("gelu")(L.LayerNormalization(name="layers")(x))
    return tf_keras.Model(image, L.Conv2D(3, 1, activation="softmax", name="mask")(x))


@pytest.fixture(scope="module")
def model() -> tf_keras.Model:
    return network()


@pytest.mark.slow  # the tests below have each kernel without training
def test_training_lowers_the_loss_of_the_integers_and_leaves_constants(model: tf_keras.Model, tmp_path: Path) -> None:
    before = fake_quantize(from_keras(model), IMAGES)
    trained = train_qat(
        model, IMAGES, LABELS, loss=loss, validate=lambda candidate: -score(candidate), epochs=4, learning_rate=0.02,
        batch_size=4, distillation=0.0,
    )  # fmt: skip
    assert trained.epoch > 0
    assert all(np.isfinite(array).all() for array in trained.model.get_weights())
    assert score(trained.model) < 0.9 * score(before.model)
    # The integers compute what the fake-quant model does: both are roundings of one network, which lose about as much.
    integer = file_masks(tmp_path / "m.tflite", read_integers(trained))
    assert float(tf.reduce_mean(loss(TRUTH, integer))) == pytest.approx(score(trained.model), rel=0.1)
    learnt = {variable.name.split("/")[0] for variable in trained.trained}
    assert {"first", "deep", "mixed", "gate_linear", "up", "mask_logits"} <= learnt
    assert {"layers_mean", "layers_variance", "groups_mean"} <= trained.constant
    for name in trained.constant:
        np.testing.assert_array_equal(kernel(trained.model, name), kernel(before.model, name))


def score(candidate: Any) -> float:
    return float(tf.reduce_mean(loss(TRUTH, candidate(IMAGES, training=False))))


def kernel(model: Any, name: str) -> np.ndarray[Any, Any]:
    return next(w.numpy() for w in model.get_layer(name).weights if w.name.split("/")[-1] in ("kernel:0", "depthwise_kernel:0"))


def file_masks(path: Path, network: Quantized) -> tf.Tensor:
    path.write_bytes(write_tflite(network, default_metadata(Preprocessing(16, 16), 3)))
    session = open_session(path, 1)
    return tf.constant(np.stack([session.run(image) for image in IMAGES]))


@pytest.mark.slow
def test_every_kernel_has_the_bounds_of_its_integers(model: tf_keras.Model) -> None:
    fake = fake_quantize(from_keras(model), IMAGES)
    for node in fake.graph.nodes:
        if "kernel" in node.weights:
            bounds = kernel_bounds_of(tf.constant(kernel(fake.model, node.name)), node.op).numpy()
            np.testing.assert_array_equal(bounds.astype(np.float64) / 127, kernel_scales(node))
    assert {"conv", "depthwise_conv", "dense", "conv_transpose"} <= {node.op for node in fake.graph.nodes}
