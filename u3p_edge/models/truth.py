"""The truth as losses take it, and which of its pixels count."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from u3p_edge.errors import DataError
from u3p_edge.label_values import count_values
from u3p_edge.metrics import IGNORE, highest_label

Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""From truth as `one_hot` makes it and probabilities, both [N, H, W, K], to one number for each image, [N]."""


def one_hot(labels: tf.Tensor, channels: int, multi_label: bool = False) -> tf.Tensor:
    """Return labels uint8 [N, H, W] as the losses take them, float32 [N, H, W, K]; one channel is the 0/1 mask itself.

    A pixel whose label is `metrics.IGNORE` has -1 in every channel. Multi-label, each channel is the 0/1 mask of its class.
    """
    if multi_label:
        bits = tf.bitwise.right_shift(labels[..., tf.newaxis], np.arange(channels, dtype=np.uint8))
        maps = tf.cast(tf.bitwise.bitwise_and(bits, tf.ones_like(bits)), tf.float32)
    else:
        maps = tf.cast(labels, tf.float32)[..., tf.newaxis] if channels == 1 else tf.one_hot(labels, channels)
    return tf.where((labels == IGNORE)[..., tf.newaxis], -1.0, maps)


def counting_pixels(y_true: tf.Tensor) -> tf.Tensor:
    """Return 1 where a pixel counts, else 0: float32 [N, H, W, 1].

    Args:
        y_true: [N, H, W, K] of any number type, -1 in every channel of a pixel that does not count.
    """
    return tf.cast(y_true[..., :1] >= 0, tf.float32)


def fit_loss(loss: Loss, multi_label: bool) -> Loss:
    """Return the loss for masks whose classes may overlap: its mean over the classes, each with its own sigmoid; else as it is.

    So each class is a binary segmentation, and whatever the loss is of two classes, it is of many.
    """
    if not multi_label:
        return loss

    def mean_over_classes(y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        losses = loss(_images_of_one_class(tf.convert_to_tensor(y_true)), _images_of_one_class(tf.convert_to_tensor(y_pred)))
        return tf.reduce_mean(tf.reshape(losses, (-1, y_pred.shape[-1])), axis=-1)

    return mean_over_classes


def fits_mask(highest: int, channels: int, multi_label: bool) -> bool:
    """Return whether a mask of so many channels has the classes of the highest value that labels have."""
    return highest < count_values(channels + 1 if multi_label or channels == 1 else channels, multi_label)


def check_labels(labels: npt.NDArray[np.uint8], channels: int, multi_label: bool) -> None:
    """Raise DataError for labels of a class that a mask of so many channels does not have."""
    highest = highest_label(labels)
    if not fits_mask(highest, channels, multi_label):
        raise DataError(f"the label {highest} is none of a mask of {channels} channels")


def _images_of_one_class(maps: tf.Tensor) -> tf.Tensor:
    """Return [N, H, W, K] as N x K images [H, W, 1], the K of an image side by side."""
    _, height, width, _ = maps.shape
    moved = tf.transpose(maps, (0, 3, 1, 2))
    return tf.reshape(moved, (-1, height or tf.shape(maps)[1], width or tf.shape(maps)[2], 1))
