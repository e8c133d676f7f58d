"""The network in integers, and TensorFlow's converter as an independent oracle of every integer and scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras import layers

from tests.support.int8_models import blobs, convert, every_op, unet
from tests.support.rewritten_model import by_hand, rewritten
from tests.support.same_integers import compare_networks
from tests.support.slow import mark_slow
from tests.support.tflite_reader import read_graph
from u3p_edge.conversion.tflite.schema import parse_tflite
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.graph.scheme import Quantized
from u3p_edge.quantization.fake_quant import fake_quantize, read_integers
from u3p_edge.quantization.integers import kernel_bounds, to_integers

ELSEWHERE = {"every op": ("near", "max", "strided")}
"""Where a pooling and a resize lead from a shared map to a concatenation of another scale, the converter requantizes that map
for all that read it, and this package what the resize gives. So the maps between keep the scale that they have in the
fake-quant model, and a convolution that reads the shared map too has a bias in other steps."""

NETWORKS: dict[str, tuple[Callable[[], tf_keras.Model], int]] = {
    "every op": (every_op, 16),
    "UNet 3+": (lambda: unet(epochs=1), 32),
    "gated": (lambda: unet(classes=3, cgm=True), 32),
    "by hand": (by_hand, 16),
    "rewritten": (rewritten, 32),
    "halves": (lambda: halves(), 16),
}


def halves() -> tf_keras.Model:
    """A convolution whose weights and biases lie midway between two integers, for images of 0 and 255."""
    image = layers.Input((16, 16, 1), name="image")
    inner = layers.Conv2D(3, (3, 2), name="halves")(image)
    model = tf_keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(inner))
    kernel = np.array([127, 0.5, 1.5, -0.5, -1.5, 2.5], np.float32).reshape(3, 2, 1, 1)
    biases = np.array([0.5, 1.5, -2.5], np.float32)
    model.get_layer("halves").set_weights([np.concatenate([kernel, -kernel, kernel[::-1]], axis=3), biases])
    return model


@pytest.mark.parametrize("name", mark_slow(NETWORKS, ["UNet 3+", "gated"]))
def test_the_integers_are_those_of_the_converter(name: str) -> None:
    build, size = NETWORKS[name]
    images = blobs(8, size)[0]
    fake = fake_quantize(from_keras(build()), np.where(images > 0, 255, 0).astype(np.float32) if name == "halves" else images)
    oracle = read_graph(parse_tflite(convert(fake.model)))
    assert isinstance(oracle, Quantized)
    integers = read_integers(fake)
    same = compare_networks(integers, oracle)
    assert {node for node, _ in same.differences} == set(ELSEWHERE.get(name, ()))
    assert same.nodes >= (4 if name == "halves" else 10)
    if name == "halves":
        assert integers.scheme.tensors["image"].scale == integers.scheme.kernels["halves"][0] == 1
        np.testing.assert_array_equal(integers.graph["halves"].weights["kernel"][..., 0].ravel(), [127, 1, 2, 0, -1, 3])
        np.testing.assert_array_equal(integers.graph["halves"].weights["bias"], [1, 2, -3])


def test_kernels_are_rounded_as_in_training_to_the_last_integer() -> None:
    """A million weights: a few lie so near a half that exact arithmetic would round them otherwise."""
    kernel = np.random.default_rng(0).normal(0, 0.05, (3, 3, 256, 480)).astype(np.float32)
    nodes = (
        Node("image", "input", (), {"shape": (None, 8, 8, 256)}),
        Node("logits", "conv", ("image",), {"padding": "same"}, {"kernel": kernel}),
        Node("mask", "activation", ("logits",), {"function": "softmax"}),
    )
    integers = to_integers(Graph(nodes, ("image",), ("mask",)), {"image": (0.0, 1.0), "logits": (-4.0, 4.0)})
    actual = integers.graph["logits"].weights["kernel"]
    bounds = kernel_bounds(kernel)
    seen = tf.quantization.fake_quant_with_min_max_vars_per_channel(kernel, -bounds, bounds, 8, narrow_range=True).numpy()
    exact = kernel.astype(np.float64) / (bounds.astype(np.float64) / 127)
    np.testing.assert_array_equal(actual, np.rint(seen / (bounds / 127)))
    assert 0 < np.sum(actual != np.floor(exact + 0.5)) < 100
