"""Losses of a segmentation, one number per image.

    hybrid             = focal + MS-SSIM + IoU, unweighted (Huang et al. 2020, arXiv:2004.08790, equation 3)
    dice_cross_entropy = Dice + cross-entropy, the plain default

Every loss of masks has the signature `(y_true, y_pred) -> [N]`:

    y_true  [N, H, W, K], one-hot over the labels, or for K = 1 a 0/1 mask; any number type. A pixel with -1 in every
            channel does not count: its probabilities change neither loss nor gradient
    y_pred  [N, H, W, K], probabilities: a softmax over the labels, or for K = 1 a sigmoid; floating

and is computed in float32, or in float64 where `y_pred` is. Channel 0 of several is the background: focal and
cross-entropy see it, while Dice, IoU and MS-SSIM average over the other channels, one region each. So a softmax over two
labels has the loss of the sigmoid that gives the same probabilities. For several sigmoids, of classes that may overlap,
`models.truth.fit_loss` takes the mean over the classes of the loss for K = 1. No loss is NaN or has a gradient that is not
finite, on empty and full masks and at probabilities of exactly 0 and 1 too. Shapes that differ are a ValueError.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import tensorflow as tf

from u3p_edge.errors import ConfigError
from u3p_edge.models.truth import Loss, counting_pixels

FOCUS = 2.0
"""Focal loss's exponent gamma (Lin et al. 2017, arXiv:1708.02002)."""

LOWEST_PROBABILITY = 1e-7
"""Probabilities are kept this far from 0 and 1 in logarithms."""

DICE_SMOOTHING = 1.0
"""In pixels: makes Dice of an empty mask continuous, and 1 when it is predicted empty."""

IOU_SMOOTHING = 1e-6
"""In pixels: only decides 0 / 0, an empty mask predicted empty, which counts as a match."""

WINDOW = 11
SIGMA = 1.5
C1 = 0.01**2
C2 = 0.03**2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Constants of MS-SSIM for maps of range 1, finest scale first (Wang, Simoncelli and Bovik 2003)."""

LOWEST_SIMILARITY = 1e-4
"""Lower bound of a scale's mean similarity, which can be negative and then has no real power; float32 resolves C2 no
finer than this (2^-23 / C2)."""


def hybrid(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Return focal + MS-SSIM + IoU, unweighted: pixel, patch and map. Shapes as in the module's docstring; returns [N]."""
    return focal(y_true, y_pred) + ms_ssim(y_true, y_pred) + iou_loss(y_true, y_pred)


def dice_cross_entropy(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Return Dice + cross-entropy, unweighted. Shapes as in the module's docstring; returns [N]."""
    return dice_loss(y_true, y_pred) + cross_entropy(y_true, y_pred)


def cross_entropy(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Return the mean over the pixels that count of -log(probability of the true label): [N]."""
    truth, prediction, counts = _labels(y_true, y_pred)
    return _mean(-truth * tf.math.log(prediction), counts)


def focal(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Return the mean over the pixels that count of -(1 - p)^2 log(p), p the probability of the true label: [N].

    Lin et al. 2017, equation 4: no class weights, which the paper does not name either.
    """
    truth, prediction, counts = _labels(y_true, y_pred)
    return _mean(-truth * (1.0 - prediction) ** FOCUS * tf.math.log(prediction), counts)


def dice_loss(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Return 1 - (2 sum(pg) + 1) / (sum p + sum g + 1) of each image and region, averaged over regions: [N]."""
    overlap, truth, prediction = _areas(y_true, y_pred)
    score = (2.0 * overlap + DICE_SMOOTHING) / (truth + prediction + DICE_SMOOTHING)
    return 1.0 - tf.reduce_mean(score, axis=-1)


def iou_loss(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Return 1 - sum(pg) / (sum p + sum g - sum pg) of each image and region, averaged over regions: [N].

    An empty mask predicted empty costs 0, predicted otherwise nearly 1.
    """
    overlap, truth, prediction = _areas(y_true, y_pred)
    score = (overlap + IOU_SMOOTHING) / (truth + prediction - overlap + IOU_SMOOTHING)
    return 1.0 - tf.reduce_mean(score, axis=-1)


def ms_ssim(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Return 1 - multi-scale structural similarity of truth and probability maps, averaged over regions: [N].

    The similarity is the product over scales of contrast-structure^weight, at the coarsest scale of
    (luminance * contrast-structure)^weight, each averaged over the windows that lie wholly inside the map.

    An image too small for five scales has fewer: as many as leave its shorter side at least the window's 11 pixels after
    halving (five from 176 pixels, four from 88, three from 44, two from 22), and their weights are scaled to sum to 1.
    Below 11 pixels the window shrinks to the shorter side. A scale's similarity below 1e-4 counts as 1e-4, where others
    take 0 and with it every gradient.

    Raises:
        ValueError: height or width are not known when the graph is built.
    """
    truth, prediction = _regions(*_zero_ignored(y_true, y_pred)[:2])
    weights = scale_weights(_shorter_side(prediction))
    similarity = tf.ones_like(prediction[:, 0, 0, :])
    for index, weight in enumerate(weights):
        if index:
            truth, prediction = (tf.nn.avg_pool2d(maps, 2, 2, "VALID") for maps in (truth, prediction))
        luminance, contrast = _structural_similarity(truth, prediction)
        coarsest = index == len(weights) - 1
        mean = tf.reduce_mean(luminance * contrast if coarsest else contrast, axis=(1, 2))
        similarity *= tf.maximum(mean, LOWEST_SIMILARITY) ** weight
    return 1.0 - tf.reduce_mean(similarity, axis=-1)


def scale_weights(shorter_side: int) -> tuple[float, ...]:
    """Return MS-SSIM's weights, finest scale first, for the scales that an image with that shorter side (pixels) has."""
    scales = sum(shorter_side // 2**scale >= WINDOW for scale in range(len(SCALE_WEIGHTS)))
    kept = SCALE_WEIGHTS[: max(scales, 1)]
    return tuple(weight / sum(kept) for weight in kept)


def presence_cross_entropy(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
    """Return the loss of the classification-guided module: binary cross-entropy, averaged over its units.

    Args:
        y_true: [N, U] of 0 and 1, from `u3p_edge.models.cgm.presence`.
        y_pred: [N, U], the model's `cgm_output`.

    Returns:
        [N].
    """
    truth, prediction = _as_floats(y_true, y_pred)
    prediction = _away_from_0_and_1(prediction)
    terms = truth * tf.math.log(prediction) + (1.0 - truth) * tf.math.log(1.0 - prediction)
    return -tf.reduce_mean(terms, axis=-1)


LOSSES: Mapping[str, Loss] = MappingProxyType(
    {
        "dice_ce": dice_cross_entropy,
        "hybrid": hybrid,
        "focal": focal,
        "ms_ssim": ms_ssim,
        "iou": iou_loss,
        "dice": dice_loss,
        "cross_entropy": cross_entropy,
    }
)


def find_loss(name: str) -> Loss:
    """Return the loss of that name, one of `LOSSES`. Raises ConfigError that names the choices."""
    if name not in LOSSES:
        raise ConfigError(f"there is no loss {name!r}", mend=f"It is one of {', '.join(map(repr, LOSSES))}.")
    return LOSSES[name]


def _as_floats(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    prediction = tf.convert_to_tensor(y_pred)
    if prediction.dtype != tf.float64:
        prediction = tf.cast(prediction, tf.float32)
    truth = tf.cast(y_true, prediction.dtype)
    # Broadcasting would turn a mask without its channel axis into a loss that means nothing.
    truth.shape.assert_is_compatible_with(prediction.shape)
    return truth, prediction


def _zero_ignored(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return truth and prediction, both 0 where a pixel does not count, and which pixels count [N, H, W, 1]."""
    truth, prediction = _as_floats(y_true, y_pred)
    counts = tf.cast(counting_pixels(truth), prediction.dtype)
    return tf.maximum(truth, 0.0), prediction * counts, counts


def _labels(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return one-hot truth, probabilities that are safe in a logarithm (a sigmoid makes two labels), and which pixels count."""
    truth, prediction, counts = _zero_ignored(y_true, y_pred)
    if prediction.shape[-1] == 1:
        truth, prediction = (tf.concat([1.0 - maps, maps], axis=-1) for maps in (truth, prediction))
    return truth, _away_from_0_and_1(prediction), counts


def _away_from_0_and_1(probabilities: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(probabilities, LOWEST_PROBABILITY, 1.0 - LOWEST_PROBABILITY)


def _regions(truth: tf.Tensor, prediction: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the maps without the background's, where there are several."""
    return (truth, prediction) if prediction.shape[-1] == 1 else (truth[..., 1:], prediction[..., 1:])


def _areas(y_true: tf.Tensor, y_pred: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return overlap, truth and prediction summed over the pixels: each [N, regions]."""
    truth, prediction = _regions(*_zero_ignored(y_true, y_pred)[:2])
    overlap, truth, prediction = (tf.reduce_sum(maps, axis=(1, 2)) for maps in (truth * prediction, truth, prediction))
    return overlap, truth, prediction


def _mean(terms: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    """Return the sum over labels and mean over the pixels that count (0 if none does): [N, H, W, K] to [N]."""
    return tf.math.divide_no_nan(tf.reduce_sum(terms * counts, axis=(1, 2, 3)), tf.reduce_sum(counts, axis=(1, 2, 3)))


def _structural_similarity(x: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return luminance and contrast-structure of each window and channel: [N, h, w, c] to [N, h-10, w-10, c] each."""
    mean_x, mean_y, mean_squares, mean_xy = tf.split(_blur(tf.concat([x, y, x * x + y * y, x * y], axis=0)), 4, axis=0)
    products, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    luminance = (2.0 * products + C1) / (squares + C1)
    contrast = (2.0 * (mean_xy - products) + C2) / (mean_squares - squares + C2)
    return luminance, contrast


def _blur(maps: tf.Tensor) -> tf.Tensor:
    """Return Gaussian window means, by two one-dimensional convolutions per channel, without padding."""
    size = min(WINDOW, _shorter_side(maps))
    taps = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / SIGMA) ** 2)
    column = tf.constant((taps / taps.sum()).reshape(size, 1, 1, 1), maps.dtype)
    column = tf.tile(column, (1, 1, maps.shape[-1], 1))
    rows = tf.nn.depthwise_conv2d(maps, column, (1, 1, 1, 1), "VALID")
    return tf.nn.depthwise_conv2d(rows, tf.transpose(column, (1, 0, 2, 3)), (1, 1, 1, 1), "VALID")


def _shorter_side(maps: tf.Tensor) -> int:
    height, width = maps.shape[1:3]
    if height is None or width is None:
        raise ValueError("MS-SSIM chooses its scales by the image's size, which must be known when the graph is built")
    return int(min(height, width))
