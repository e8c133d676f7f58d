"""A plain UNet (Ronneberger et al. 2015, arXiv:1505.04597), for comparison: with padding, batch normalisation and bilinear
upsampling, built of the same layers as our UNet 3+, and folded like it."""

from __future__ import annotations

import tf_keras
from tf_keras import layers

from benchmarks.lib.blocks import add_block, add_encoder, add_head


def build(size: tuple[int, int], channels: int, classes: int, widths: tuple[int, ...], fold: int = 1) -> tf_keras.Model:
    """Return a network with fresh weights: `image` [N, H, W, C] to `mask` [N, H, W, K] of probabilities.

    Args:
        size: height and width, multiples of fold * 2 ** (scales - 1).
        channels: channels of the image.
        classes: channels of the mask; 1 is a sigmoid, more a softmax.
        widths: channels of each scale, finest first.
        fold: how many times smaller than the image the finest scale is.
    """
    image = layers.Input((*size, channels), name="image")
    maps = add_encoder(image, widths, fold)
    x = maps[-1]
    for number in range(len(widths) - 1, 0, -1):
        x = layers.UpSampling2D(interpolation="bilinear", name=f"up{number}")(x)
        x = layers.Concatenate(name=f"join{number}")([maps[number - 1], x])
        x = add_block(x, widths[number - 1], f"dec{number}")
    return tf_keras.Model(image, add_head(x, classes, fold), name="unet")


def doubling(width: int, scales: int) -> tuple[int, ...]:
    """Return the widths of scales of which each has twice as many channels as the one before.

    >>> doubling(8, 3)
    (8, 16, 32)
    """
    return tuple(width * 2**scale for scale in range(scales))
