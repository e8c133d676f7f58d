"""Which pixels of the truth count in the losses."""

from __future__ import annotations

import tensorflow as tf


def counting_pixels(y_true: tf.Tensor) -> tf.Tensor:
    """Return 1 where a pixel counts, else 0: float32 [N, H, W, 1].

    Args:
        y_true: [N, H, W, K] of any number type, -1 in every channel of a pixel that does not count.
    """
    return tf.cast(y_true[..., :1] >= 0, tf.float32)
