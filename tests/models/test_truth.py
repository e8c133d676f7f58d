"""The truth and the losses of classes that may overlap: each class is a binary segmentation of its own."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from u3p_edge.label_values import has_class
from u3p_edge.metrics import IGNORE
from u3p_edge.models.cgm import presence
from u3p_edge.models.truth import Loss, counting_pixels, fit_loss, fits_mask, one_hot
from u3p_edge.training.losses import LOSSES

CHANNELS, SIZE = 3, 24


def labels_and_probabilities() -> tuple[np.ndarray, np.ndarray]:
    """Sets of classes uint8 [2, H, W] with a band that is ignored, and probabilities float32 [2, H, W, K]."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 1 << CHANNELS, (2, SIZE, SIZE)).astype(np.uint8)
    labels[:, 5:9] = IGNORE
    return labels, rng.random((2, SIZE, SIZE, CHANNELS), np.float32)


def test_each_channel_of_the_truth_is_the_mask_of_its_class() -> None:
    labels, _ = labels_and_probabilities()
    truth = one_hot(tf.constant(labels), CHANNELS, multi_label=True).numpy()
    assert (truth.shape, truth.dtype) == ((2, SIZE, SIZE, CHANNELS), np.float32)
    for channel in range(CHANNELS):
        expected = np.where(labels == IGNORE, -1, has_class(labels, channel + 1, multi_label=True))
        np.testing.assert_array_equal(truth[..., channel], expected)
    np.testing.assert_array_equal(counting_pixels(truth).numpy()[..., 0], labels != IGNORE)


def test_a_compiled_step_sees_the_same_truth_and_loss() -> None:
    """As training compiles it, with any number of images."""
    labels, probabilities = labels_and_probabilities()
    loss = fit_loss(LOSSES["hybrid"], multi_label=True)

    def step(batch: tf.Tensor, predicted: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        truth = one_hot(batch, CHANNELS, multi_label=True)
        return truth, loss(truth, predicted)

    shape = (None, SIZE, SIZE)
    compiled = tf.function(step, input_signature=[tf.TensorSpec(shape, tf.uint8), tf.TensorSpec((*shape, CHANNELS))])
    for traced, eager in zip(compiled(labels, probabilities), step(tf.constant(labels), probabilities), strict=True):
        # A compiled sum may add its terms in another order: 24 * 24 terms of at most 1 in float32.
        np.testing.assert_allclose(traced.numpy(), eager.numpy(), rtol=576 * 2**-24)


def test_a_class_is_present_where_a_pixel_has_it() -> None:
    labels = np.zeros((2, SIZE, SIZE), np.uint8)
    labels[0, 3, 4], labels[1] = 0b101, IGNORE
    there = presence(one_hot(tf.constant(labels), CHANNELS, multi_label=True), CHANNELS)
    np.testing.assert_array_equal(there, [[1, 0, 1], [0, 0, 0]])


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_is_the_mean_of_the_losses_of_the_classes(name: str) -> None:
    labels, probabilities = labels_and_probabilities()
    loss: Loss = LOSSES[name]
    truth = one_hot(tf.constant(labels), CHANNELS, multi_label=True)
    variable = tf.Variable(probabilities)
    with tf.GradientTape() as tape:
        value = fit_loss(loss, multi_label=True)(truth, variable)
    each = [loss(truth[..., k : k + 1], probabilities[..., k : k + 1]).numpy() for k in range(CHANNELS)]
    # The same float32 sums, of which the mean over three classes alone is rounded once more, to a relative 2^-24 a step.
    np.testing.assert_allclose(value.numpy(), np.mean(each, axis=0), rtol=4 * 2**-24)
    gradient = tape.gradient(value, variable).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[:, 5:9].any()
    assert all(gradient[:, :5, :, k].any() for k in range(CHANNELS))


def test_a_loss_of_one_class_a_pixel_stays_as_it_is() -> None:
    assert fit_loss(LOSSES["dice_ce"], multi_label=False) is LOSSES["dice_ce"]


@pytest.mark.parametrize(
    ("channels", "multi_label", "values"), [(1, False, 2), (2, False, 2), (4, False, 4), (2, True, 4), (3, True, 8)]
)
def test_labels_fit_a_mask_up_to_its_last_value(channels: int, multi_label: bool, values: int) -> None:
    assert fits_mask(values - 1, channels, multi_label)
    assert not fits_mask(values, channels, multi_label)
