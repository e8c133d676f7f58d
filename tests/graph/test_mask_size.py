"""A mask that is flattened, or smaller than the image, is brought to the image's size and keeps its probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tf_keras

from u3p_edge.errors import ModelError
from u3p_edge.graph.inference import Inference, inference_graph
from u3p_edge.graph.keras_io import from_keras, to_keras

L = tf_keras.layers
IMAGES = np.random.default_rng(0).standard_normal((2, 32, 16, 1)).astype(np.float32)


def model(*layers: Any, extra: Any = None) -> tf_keras.Model:
    """The layers on a map of three channels at the image's size; `extra` gives a second output from that map."""
    image = tf_keras.Input((32, 16, 1))
    x = y = L.Conv2D(3, 3, padding="same", name="logits")(image)
    for layer in layers:
        x = layer(x)
    return tf_keras.Model(image, x if extra is None else [x, extra(y)])


def masks(found: Inference) -> np.ndarray[Any, Any]:
    assert found.graph.shapes["mask"] == (1, 32, 16, 3)
    return np.asarray(to_keras(found.graph)(IMAGES))


@pytest.mark.parametrize(
    "layers",
    [
        (L.Reshape((512, 3)), L.Softmax(name="flat")),
        (L.Reshape((-1, 3)), L.Activation("softmax", name="flat")),
        (L.Reshape((512, 3)), L.Softmax(axis=2, name="flat")),
        (L.Softmax(), L.Reshape((512, 3), name="flat")),
        (L.Reshape((512, 3)), L.ReLU(), L.Reshape((512, 3)), L.Softmax(name="flat")),
    ],
)
def test_a_flattened_mask_has_the_same_values_at_the_images_size(layers: tuple[Any, ...]) -> None:
    network = model(*layers)
    inference = inference_graph(from_keras(network))
    expected = np.asarray(network(IMAGES)).reshape(2, 32, 16, 3)
    np.testing.assert_allclose(masks(inference), expected, atol=1e-6)  # one exponential, rounded in another order
    assert "'flat' is flattened" in inference.notes[0]


def test_flattened_logits_are_activated() -> None:
    network = model(L.Reshape((512, 3), name="flat"))
    inference = inference_graph(from_keras(network))
    expected = tf_keras.activations.softmax(network(IMAGES)).numpy().reshape(2, 32, 16, 3)
    np.testing.assert_allclose(masks(inference), expected, atol=1e-6)
    assert [node.op for node in inference.graph.nodes if node.op == "reshape"] == []


def test_a_smaller_mask_is_upsampled() -> None:
    network = model(L.MaxPooling2D(2), L.Softmax(name="half"))
    inference = inference_graph(from_keras(network))
    expected = L.UpSampling2D(2, interpolation="bilinear")(network(IMAGES)).numpy()
    np.testing.assert_allclose(masks(inference), expected, atol=1e-6)
    assert "'half' is 2 times smaller than the image" in inference.notes[0]


def test_a_named_output_is_taken_although_another_has_the_images_size() -> None:
    network = model(L.MaxPooling2D(4), L.Softmax(name="quarter"), extra=L.Softmax(name="whole"))
    assert inference_graph(from_keras(network)).mask == "whole"
    inference = inference_graph(from_keras(network), mask="quarter")
    assert (inference.mask, inference.dropped) == ("quarter", ("whole",))
    assert masks(inference).shape == (2, 32, 16, 3)


@pytest.mark.parametrize(
    ("network", "mask", "message"),
    [
        (model(L.Softmax(name="m")), "n", r"the model has no output 'n'. Its outputs are m"),
        (model(L.Cropping2D(((1, 0), (0, 0)), name="m")), "m", r"'m' of shape \[31, 16, 3\] cannot be brought to .* 32x16"),
        (model(L.MaxPooling2D((2, 1), name="m")), "m", r"'m' of shape \[16, 16, 3\] cannot be brought to .* 32x16"),
        (
            model(L.MaxPooling2D(2, name="m"), extra=L.MaxPooling2D(4, name="n")),
            None,
            r"no output is a mask of the input's size 32x16; .* Name the mask with --mask OUTPUT",
        ),
    ],
)
def test_what_cannot_be_a_mask_is_refused_with_what_to_do(network: Any, mask: str | None, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        inference_graph(from_keras(network), mask=mask)
