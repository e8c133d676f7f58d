"""A plain UNet (Ronneberger et al. 2015, arXiv:1505.04597), for comparison: with padding, batch normalisation and bilinear
upsampling, built of the same layers as our UNet 3+ so that the same tools take it."""

from __future__ import annotations

import tf_keras
from tf_keras import layers


def build(size: tuple[int, int], channels: int, classes: int, width: int, scales: int = 5) -> tf_keras.Model:
    """Return a network with fresh weights: `image` [N, H, W, C] to `mask` [N, H, W, K] of probabilities.

    Args:
        size: height and width, multiples of 2 ** (scales - 1).
        channels: channels of the image.
        classes: channels of the mask; 1 is a sigmoid, more a softmax.
        width: channels of the first scale; every further scale has twice as many.
        scales: number of scales.
    """
    x = image = layers.Input((*size, channels), name="image")
    skips = []
    for scale in range(scales):
        x = _block(x, width * 2**scale, f"enc{scale + 1}")
        if scale < scales - 1:
            skips.append(x)
            x = layers.MaxPooling2D(name=f"down{scale + 1}")(x)
    for scale in reversed(range(scales - 1)):
        x = layers.UpSampling2D(interpolation="bilinear", name=f"up{scale + 1}")(x)
        x = layers.Concatenate(name=f"join{scale + 1}")([skips[scale], x])
        x = _block(x, width * 2**scale, f"dec{scale + 1}")
    activation = "sigmoid" if classes == 1 else "softmax"
    logits = layers.Conv2D(classes, 1, name="head")(x)
    return tf_keras.Model(image, layers.Activation(activation, name="mask")(logits), name="unet")


def _block(x: tf_keras.KerasTensor, width: int, name: str) -> tf_keras.KerasTensor:
    for number in (1, 2):
        x = layers.Conv2D(
            width, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv{number}"
        )(x)
        x = layers.BatchNormalization(name=f"{name}_norm{number}")(x)
        x = layers.ReLU(name=f"{name}_relu{number}")(x)
    return x
