"""The truth as losses take it, and which of its pixels count."""

from __future__ import annotations

import tensorflow as tf

from u3p_edge.metrics import IGNORE


def one_hot(labels: tf.Tensor, channels: int) -> tf.Tensor:
    """Return labels uint8 [N, H, W] as the losses take them, float32 [N, H, W, K]; one channel is the 0/1 mask itself.

    A pixel whose label is `metrics.IGNORE` has -1 in every channel.
    """
    maps = tf.cast(labels, tf.float32)[..., tf.newaxis] if channels == 1 else tf.one_hot(labels, channels)
    return tf.where((labels == IGNORE)[..., tf.newaxis], -1.0, maps)


def counting_pixels(y_true: tf.Tensor) -> tf.Tensor:
    """Return 1 where a pixel counts, else 0: float32 [N, H, W, 1].

    Args:
        y_true: [N, H, W, K] of any number type, -1 in every channel of a pixel that does not count.
    """
    return tf.cast(y_true[..., :1] >= 0, tf.float32)
