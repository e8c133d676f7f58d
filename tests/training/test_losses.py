"""Every loss against an independent oracle or numbers worked by hand, its gradient against differences, and its corners."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tests.support.slow import mark_slow
from u3p_edge.errors import ConfigError
from u3p_edge.training.losses import (
    LOSSES,
    SCALE_WEIGHTS,
    cross_entropy,
    dice_cross_entropy,
    dice_loss,
    find_loss,
    focal,
    hybrid,
    iou_loss,
    ms_ssim,
    presence_cross_entropy,
    scale_weights,
)

# One image of 1x2 pixels: the organ is in the first. Small enough to work by hand.
TRUTH = np.array([[[[1.0], [0.0]]]])
GUESS = np.array([[[[0.8], [0.4]]]])

# Float64 arithmetic of a few dozen operations on numbers near 1.
EXACT = 1e-12


def blobs(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A blocky 0/1 mask and a noisy, blurred-looking probability map that follows it; float64."""
    rng = np.random.default_rng(seed)
    count, height, width, channels = shape
    coarse = rng.random((count, -(-height // 8), -(-width // 8), channels)) > 0.6
    truth = np.repeat(np.repeat(coarse, 8, 1), 8, 2)[:, :height, :width].astype(float)
    return truth, np.clip(0.1 + 0.7 * truth + rng.normal(0, 0.1, shape), 0.0, 1.0)


def one_hot(shape: tuple[int, int, int], labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One-hot labels in blocks and a softmax that leans to them; float64."""
    rng = np.random.default_rng(seed)
    count, height, width = shape
    coarse = rng.integers(0, labels, (count, -(-height // 8), -(-width // 8)))
    truth = np.eye(labels)[np.repeat(np.repeat(coarse, 8, 1), 8, 2)[:, :height, :width]]
    logits = 2.0 * truth + rng.normal(0, 1, truth.shape)
    return truth, np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


def test_binary_terms_worked_by_hand() -> None:
    # The true label's probabilities are .8 (organ) and 1 - .4 = .6 (background).
    np.testing.assert_allclose(cross_entropy(TRUTH, GUESS), [-(np.log(0.8) + np.log(0.6)) / 2], rtol=EXACT)
    by_hand = -(0.2**2 * np.log(0.8) + 0.4**2 * np.log(0.6)) / 2
    np.testing.assert_allclose(focal(TRUTH, GUESS), [by_hand], rtol=EXACT)
    # Overlap .8, truth 1, prediction 1.2. IoU is smoothed by a millionth of a pixel on unions of 1.4.
    np.testing.assert_allclose(iou_loss(TRUTH, GUESS), [1 - 0.8 / 1.4], atol=1e-6)
    np.testing.assert_allclose(dice_loss(TRUTH, GUESS), [1 - (2 * 0.8 + 1) / (1 + 1.2 + 1)], rtol=EXACT)


def test_multiclass_terms_worked_by_hand() -> None:
    truth = np.array([[[[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]]])
    guess = np.array([[[[0.2, 0.5, 0.3], [0.7, 0.2, 0.1]]]])
    np.testing.assert_allclose(cross_entropy(truth, guess), [-(np.log(0.5) + np.log(0.7)) / 2], rtol=EXACT)
    np.testing.assert_allclose(focal(truth, guess), [-(0.25 * np.log(0.5) + 0.09 * np.log(0.7)) / 2], rtol=EXACT)
    # Label 1: overlap .5, truth 1, prediction .7. Label 2, absent: overlap 0, prediction .4. Background is no region.
    # The absent label's smoothing of 1e-6 on a union of .4 is worth 2.5e-6.
    np.testing.assert_allclose(iou_loss(truth, guess), [1 - (0.5 / 1.2 + 0) / 2], atol=2e-6)
    np.testing.assert_allclose(dice_loss(truth, guess), [1 - ((2 * 0.5 + 1) / 2.7 + 1 / 1.4) / 2], rtol=EXACT)


def test_sums() -> None:
    truth, guess = blobs((2, 32, 48, 1))
    np.testing.assert_allclose(hybrid(truth, guess), focal(truth, guess) + ms_ssim(truth, guess) + iou_loss(truth, guess))
    np.testing.assert_allclose(dice_cross_entropy(truth, guess), dice_loss(truth, guess) + cross_entropy(truth, guess))


def test_presence_worked_by_hand() -> None:
    loss = presence_cross_entropy(np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([[0.9, 0.2], [0.5, 1.0]]))
    np.testing.assert_allclose(loss, [-(np.log(0.9) + np.log(0.8)) / 2, -np.log(0.5) / 2], atol=1e-7)


@pytest.mark.parametrize(
    "size", mark_slow([(176, 176), (192, 256), (88, 120), (64, 64), (32, 48), (16, 16)], [(192, 256), (88, 120)])
)
@pytest.mark.parametrize("channels", [1, 3])
def test_ms_ssim_agrees_with_tensorflow(size: tuple[int, int], channels: int) -> None:
    truth, guess = blobs((2, *size, channels))
    regions = slice(None) if channels == 1 else slice(1, None)
    weights = scale_weights(min(size))
    oracle = tf.image.ssim_multiscale(
        truth[..., regions].astype(np.float32), guess[..., regions].astype(np.float32), 1.0, power_factors=weights
    )
    # TensorFlow computes in float32: differences of window means near 1 are off by some 2^-24, which on the smallest
    # denominator C2 = 9e-4 is 7e-5 of a window's similarity; the weights sum to 1. Three such roundings: 2e-4.
    np.testing.assert_allclose(ms_ssim(truth, guess), 1.0 - oracle.numpy(), atol=2e-4)
    np.testing.assert_allclose(ms_ssim(truth, guess.astype(np.float32)), 1.0 - oracle.numpy(), atol=2e-4)


def test_scales_that_fit_and_their_weights() -> None:
    assert [len(scale_weights(side)) for side in (176, 175, 88, 87, 44, 43, 22, 21, 11, 5)] == [5, 4, 4, 3, 3, 2, 2, 1, 1, 1]
    assert scale_weights(176) == pytest.approx(SCALE_WEIGHTS, rel=1e-3)  # as published, they sum to 1.0001
    for side in (16, 32, 64, 128, 512):
        weights = scale_weights(side)
        assert sum(weights) == pytest.approx(1.0)
        assert weights[-1] / weights[0] == pytest.approx(SCALE_WEIGHTS[len(weights) - 1] / SCALE_WEIGHTS[0])


def test_ms_ssim_is_a_loss_and_uses_the_coarsest_scale_once() -> None:
    """The official code returns the similarity itself and raises the last factor to four times its weight."""
    truth, guess = blobs((1, 176, 176, 1))
    worse = 0.5 * guess + 0.25
    assert float(ms_ssim(truth, truth)[0]) == pytest.approx(0.0, abs=1e-9)
    assert 0 < float(ms_ssim(truth, guess)[0]) < float(ms_ssim(truth, worse)[0]) < 1
    # Between constant maps a and b every contrast is 1; what is left is one luminance to the last weight.
    a, b = np.full((1, 176, 176, 1), 0.2), np.full((1, 176, 176, 1), 0.6)
    luminance = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    weight = SCALE_WEIGHTS[-1] / sum(SCALE_WEIGHTS)
    # Cancellation in window variances: 2^-52 / C2 = 2e-13.
    np.testing.assert_allclose(ms_ssim(a, b), [1 - luminance**weight], atol=1e-11)


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_softmax_of_two_labels_costs_what_its_sigmoid_does(name: str) -> None:
    truth, guess = blobs((2, 32, 32, 1))
    both = [np.concatenate([1 - maps, maps], -1) for maps in (truth, guess)]
    np.testing.assert_allclose(find_loss(name)(*both), find_loss(name)(truth, guess), rtol=EXACT)


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize(("size", "labels"), [((32, 48), 1), ((32, 48), 3), ((176, 176), 1)])
def test_gradients_equal_differences(name: str, size: tuple[int, int], labels: int) -> None:
    truth, guess = blobs((1, *size, 1), seed=1) if labels == 1 else one_hot((1, *size), labels, seed=1)
    guess = 0.05 + 0.9 * guess  # away from the clipping at 0 and 1, where a difference would straddle a kink
    prediction = tf.constant(guess)
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        loss = find_loss(name)(truth, prediction)
    gradient = tape.gradient(loss, prediction).numpy()
    # Along a random direction u, (f(p + hu) - f(p - hu)) / 2h = grad . u + O(h^2 f'''). With h = 1e-5 rounding gives
    # 2^-52 / 1e-5 = 2e-11 and truncation about 1e-10 times the third derivative, which focal's logarithms at .05 raise.
    rng, step = np.random.default_rng(2), 1e-5
    for _ in range(3):
        direction = rng.normal(size=guess.shape)
        ahead, behind = (find_loss(name)(truth, guess + sign * step * direction).numpy()[0] for sign in (1, -1))
        difference = (ahead - behind) / (2 * step)
        np.testing.assert_allclose(np.sum(gradient * direction), difference, rtol=1e-5, atol=1e-8)
    assert np.abs(gradient).max() > 0


def corner_cases(size: tuple[int, int], labels: int) -> tuple[np.ndarray, np.ndarray]:
    """Truths and predictions, [N, height, width, labels]: every pair of an extreme truth and an extreme prediction."""
    shape = (1, *size, labels)
    truth, guess = blobs(shape, seed=3) if labels == 1 else one_hot((1, *size), labels, seed=3)
    if labels == 1:
        truths = [np.zeros(shape), np.ones(shape), truth]
    else:
        truths = [np.broadcast_to(np.eye(labels)[label], shape) for label in (0, 1)] + [truth]
    guesses = (*truths, 1.0 - truth, guess, np.full(shape, 1 / labels), np.zeros(shape))
    pairs = [(t, p) for t in truths for p in guesses]
    return np.concatenate([t for t, _ in pairs]), np.concatenate([p for _, p in pairs])


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize(
    ("size", "labels"), [((16, 32), 1), ((8, 8), 1), ((32, 32), 3), pytest.param((176, 176), 1, marks=pytest.mark.slow)]
)
def test_losses_and_gradients_are_finite_in_every_corner(name: str, size: tuple[int, int], labels: int) -> None:
    truth, guess = corner_cases(size, labels)
    prediction = tf.constant(guess, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(prediction)
        loss = find_loss(name)(truth, prediction)
    assert loss.shape == (len(truth),)
    assert np.isfinite(loss).all()
    assert np.isfinite(tape.gradient(loss, prediction)).all()
    # A perfect MS-SSIM is 0 up to float32 rounding: 2^-24 in a window mean, over C2 = 9e-4, averaged over windows.
    assert np.min(loss) >= -1e-5


@pytest.mark.parametrize("name", sorted(LOSSES))
@pytest.mark.parametrize("fill", [0.0, 1.0])
def test_an_empty_or_full_mask_predicted_right_costs_nothing(name: str, fill: float) -> None:
    mask = np.full((1, 32, 32, 1), fill)
    assert float(find_loss(name)(mask, mask)[0]) == pytest.approx(0.0, abs=1e-6)
    assert float(find_loss(name)(mask, 1.0 - mask)[0]) > 0.1


@settings(max_examples=20, deadline=None)
@given(
    guess=hnp.arrays(np.float32, (1, 16, 16, 1), elements=st.floats(0, 1, width=32)),
    truth=hnp.arrays(np.bool_, (1, 16, 16, 1)),
)
def test_any_map_has_a_finite_loss_and_the_truth_has_none(guess: np.ndarray, truth: np.ndarray) -> None:
    for loss in LOSSES.values():
        assert np.isfinite(loss(truth, guess)).all()
        assert float(loss(truth, truth.astype(np.float32))[0]) == pytest.approx(0.0, abs=1e-5)


def test_each_image_has_its_own_loss() -> None:
    truth, guess = blobs((3, 32, 32, 1))
    for loss in LOSSES.values():
        together = loss(truth, guess)
        assert together.shape == (3,)
        np.testing.assert_allclose(together, [float(loss(truth[i : i + 1], guess[i : i + 1])[0]) for i in range(3)], rtol=1e-10)


def test_half_precision_is_computed_in_float32() -> None:
    truth, guess = blobs((1, 32, 32, 1))
    assert all(loss(truth, tf.cast(guess, tf.float16)).dtype == tf.float32 for loss in LOSSES.values())


def test_a_mask_without_its_channel_is_refused() -> None:
    truth, guess = blobs((1, 32, 32, 1))
    for loss in LOSSES.values():
        with pytest.raises(ValueError, match="incompatible"):
            loss(truth[..., 0], guess)


def test_ms_ssim_wants_a_known_size() -> None:
    unknown = tf.TensorSpec((None, None, None, 1), tf.float32)
    with pytest.raises(ValueError, match="must be known"):
        tf.function(ms_ssim, input_signature=[unknown, unknown]).get_concrete_function()


def test_losses_train_inside_a_graph_of_unknown_batch_size() -> None:
    truth, guess = blobs((2, 32, 32, 1))
    spec = tf.TensorSpec((None, 32, 32, 1), tf.float64)
    for loss in LOSSES.values():
        np.testing.assert_allclose(
            tf.function(loss, input_signature=[spec, spec])(truth, guess), loss(truth, guess), rtol=1e-10
        )


def test_an_unknown_loss_names_the_choices() -> None:
    with pytest.raises(ConfigError, match="'dice_ce', 'hybrid'"):
        find_loss("tversky")
