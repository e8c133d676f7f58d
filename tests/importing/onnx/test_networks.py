"""Whole networks, as PyTorch and Keras write them, give the numbers that ONNX Runtime gives for their file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.onnx_files import EPS, assert_same_numbers, ops, run_file, run_graph
from tests.support.onnx_networks import save_unet, save_unet3plus
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.importing.onnx.reader import read_onnx

TERMS = 9 * 16 + 1
"""Products in the longest sum of the networks here: a 3x3 convolution of 16 channels, and its bias."""
LAYERS = 9
"""Convolutions in a row."""


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(5).uniform(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu", "Silu", "Elu"])
def test_a_unet_in_the_style_of_pytorch(tmp_path: Path, activation: str) -> None:
    path = save_unet(tmp_path / "unet.onnx", activation=activation)
    graph = assert_same_numbers(path, pictures(2, 1, 32, 48), terms=TERMS, layers=LAYERS)
    assert graph[graph.inputs[0]].attrs["shape"] == (None, 32, 48, 1)
    assert graph.outputs == ("logits",)
    assert not {"reshape", "pad", "crop"} & set(ops(graph)), "sizes that fit need no border"
    inference = inference_graph(graph)
    assert (inference.activation, inference.activation_added) == ("softmax", True)


def test_a_size_that_poolings_do_not_divide_is_padded_as_the_file_says(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="by whole factors"):  # the second upsampling, to an odd size
        read_onnx(save_unet(tmp_path / "odd.onnx", (30, 27)))
    graph = assert_same_numbers(save_unet(tmp_path / "m.onnx", (36, 44)), pictures(1, 1, 36, 44), terms=TERMS, layers=LAYERS)
    assert "pad" not in ops(graph)
    graph = assert_same_numbers(save_unet(tmp_path / "n.onnx", (38, 42)), pictures(1, 1, 38, 42), terms=TERMS, layers=LAYERS)
    assert ops(graph).count("pad") == 1, "19 x 21 pixels are halved to 9 x 10 and come back one short"


def test_an_open_size_is_set(tmp_path: Path) -> None:
    path = save_unet(tmp_path / "unet.onnx", ("height", "width"))
    assert_same_numbers(path, pictures(1, 1, 48, 16), terms=TERMS, layers=LAYERS, size=(48, 16))


def test_a_unet3plus_with_deep_supervision(tmp_path: Path) -> None:
    path = save_unet3plus(tmp_path / "unet3plus.onnx")
    graph = assert_same_numbers(path, pictures(1, 1, 32, 32), terms=TERMS, layers=LAYERS)
    assert graph.outputs == ("mask", "side")
    inference = inference_graph(graph)
    assert (inference.mask, inference.dropped, inference.activation_added) == ("mask", ("side",), False)


@pytest.mark.parametrize("opset", [11, 13, 18, 21])
def test_the_same_network_in_every_opset(tmp_path: Path, opset: int) -> None:
    path = save_unet3plus(tmp_path / "unet3plus.onnx", opset=opset)
    assert_same_numbers(path, pictures(1, 1, 32, 32), terms=TERMS, layers=LAYERS)


def test_a_keras_model_written_by_tf2onnx(tmp_path: Path) -> None:
    """Its image is [N, H, W, C], and every convolution stands between transposes: none is left."""
    import tensorflow as tf
    import tf2onnx

    model, path = keras_model(), tmp_path / "keras.onnx"
    spec = tf.TensorSpec((None, 16, 16, 1), tf.float32, name="image")
    tf2onnx.convert.from_keras(model, [spec], output_path=str(path))
    graph = read_onnx(path)
    image = pictures(1, 16, 16, 1)
    (expected,), (result,) = run_file(path, image), run_graph(graph, image)
    assert result.shape == expected.shape == (1, 16, 16, 2)
    assert ops(graph).count("reshape") == 2, "those of the gate, to a vector and back"
    np.testing.assert_allclose(result, expected, rtol=0, atol=TERMS * LAYERS * EPS)  # of probabilities, at most 1
    assert expected.std() > 100 * TERMS * LAYERS * EPS, "a flat map compares nothing"
    # And back: the graph is a Keras model again.
    np.testing.assert_allclose(to_keras(graph)(image), expected, rtol=0, atol=TERMS * LAYERS * EPS)


def keras_model() -> Any:
    import tf_keras

    tf_keras.utils.set_random_seed(0)
    layers = tf_keras.layers
    image = tf_keras.Input((16, 16, 1), name="image")
    one = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    two = layers.BatchNormalization()(layers.Conv2D(8, 3, strides=2, padding="same")(one))
    two = layers.LeakyReLU()(layers.DepthwiseConv2D(3, padding="same")(two))
    three = layers.Conv2DTranspose(8, 3, strides=2, padding="same")(layers.MaxPooling2D()(two))
    joined = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(three + two), one])
    gate = layers.Dense(4, activation="sigmoid")(layers.GlobalAveragePooling2D()(one))
    joined = layers.Conv2D(4, 3, padding="same")(joined) * layers.Reshape((1, 1, 4))(gate)
    return tf_keras.Model(image, layers.Conv2D(2, 1, activation="softmax")(joined))


def test_our_own_file_is_read_back(tmp_path: Path) -> None:
    """The image and the mask of our files are [N, H, W, C], the maps between them [N, C, H, W]."""
    import u3p_edge as u3p

    before = inference_graph(read_onnx(save_unet(tmp_path / "unet.onnx"))).graph
    path = u3p.write_onnx(before, tmp_path / "own.onnx")
    graph = read_onnx(path)
    assert (graph.inputs, graph.outputs) == (("image",), ("mask",))
    image = pictures(1, 32, 48, 1)
    (expected,), (theirs,), (result,) = run_graph(before, image), run_file(path, image), run_graph(graph, image)
    np.testing.assert_allclose(result, theirs, rtol=0, atol=TERMS * LAYERS * EPS)
    np.testing.assert_allclose(result, expected, rtol=0, atol=TERMS * LAYERS * EPS)
    assert expected.std() > 100 * TERMS * LAYERS * EPS, "a flat map compares nothing"
