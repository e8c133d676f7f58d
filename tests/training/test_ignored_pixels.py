"""Pixels whose label is ignored change no loss, no gradient and no score."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from u3p_edge.distill.loss import divergence
from u3p_edge.metrics import IGNORE, confusion, outline_distances_per_class
from u3p_edge.models.truth import counting_pixels, one_hot
from u3p_edge.training.losses import LOSSES

SIZE = 24


def truth_and_prediction(channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels uint8 [2, H, W] with a band that is ignored, and probabilities float32 [2, H, W, K]."""
    rng = np.random.default_rng(channels)
    labels = rng.integers(0, max(2, channels), (2, SIZE, SIZE)).astype(np.uint8)
    labels[:, 5:9] = IGNORE
    scores = np.exp(rng.normal(size=(2, SIZE, SIZE, channels))).astype(np.float32)
    return labels, scores / (scores.sum(axis=-1, keepdims=True) + (channels == 1))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", sorted(LOSSES))
def test_no_loss_sees_an_ignored_pixel(name: str, channels: int) -> None:
    labels, prediction = truth_and_prediction(channels)
    other = prediction.copy()
    other[:, 5:9] = prediction[:, 5:9, ::-1] ** 2
    truth, loss = one_hot(tf.constant(labels), channels), LOSSES[name]
    np.testing.assert_array_equal(loss(truth, prediction).numpy(), loss(truth, other).numpy())
    variable = tf.Variable(prediction)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(loss(truth, variable))
    gradient = tape.gradient(value, variable).numpy()
    assert np.isfinite(gradient).all()
    assert not gradient[:, 5:9].any()
    assert gradient[:, :5].any()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["cross_entropy", "focal", "dice", "iou"])
def test_a_loss_is_that_of_the_other_pixels_alone(name: str, channels: int) -> None:
    labels, prediction = truth_and_prediction(channels)
    kept = np.r_[0:5, 9:SIZE]
    whole = LOSSES[name](one_hot(tf.constant(labels), channels), prediction).numpy()
    part = LOSSES[name](one_hot(tf.constant(labels[:, kept]), channels), prediction[:, kept]).numpy()
    # Both are sums of the same 20 * 24 terms in float32; only the order of adding may differ.
    np.testing.assert_allclose(whole, part, rtol=480 * 2**-24)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_teacher_is_not_followed_where_labels_are_ignored(channels: int) -> None:
    labels, soft = truth_and_prediction(channels)
    counts = counting_pixels(one_hot(tf.constant(labels), channels))
    np.testing.assert_array_equal(counts.numpy()[..., 0], labels != IGNORE)
    student = np.full_like(soft, 0.5)
    other = soft.copy()
    other[:, 5:9] = 0.25
    np.testing.assert_array_equal(divergence(soft, student, counts).numpy(), divergence(other, student, counts).numpy())
    everywhere = tf.ones_like(counts)
    np.testing.assert_allclose(divergence(soft, student, everywhere), divergence(soft, student), rtol=SIZE**2 * 2**-24)


@pytest.mark.parametrize("channels", [1, 3])
def test_labels_become_one_channel_each(channels: int) -> None:
    labels, _ = truth_and_prediction(channels)
    expected = (labels[..., None] == (np.arange(channels) if channels > 1 else 1)).astype(np.float32)
    expected[labels == IGNORE] = -1
    np.testing.assert_array_equal(one_hot(tf.constant(labels), channels).numpy(), expected)


def test_an_image_without_a_counting_pixel_costs_nothing() -> None:
    labels, prediction = np.full((1, SIZE, SIZE), IGNORE, np.uint8), truth_and_prediction(3)[1][:1]
    for name, loss in LOSSES.items():
        assert np.isfinite(loss(one_hot(tf.constant(labels), 3), prediction).numpy()).all(), name
    assert LOSSES["cross_entropy"](one_hot(tf.constant(labels), 3), prediction).numpy() == 0


def test_no_score_sees_an_ignored_pixel() -> None:
    labels, _ = truth_and_prediction(3)
    right = np.where(labels == IGNORE, 0, labels)
    wrong = np.where(labels == IGNORE, 2, labels)
    np.testing.assert_array_equal(confusion(labels, right, 3), confusion(labels, wrong, 3))
    assert (confusion(labels, wrong, 3)[:, 1:] == 0).all()
    np.testing.assert_array_equal(outline_distances_per_class(labels[0], wrong[0], 3)[1:], np.zeros((2, 2)))
