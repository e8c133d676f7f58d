"""The layers of which the networks for comparison are built, those of our UNet 3+, so that the same tools take them."""

from __future__ import annotations

from typing import Any

from tf_keras import layers

from u3p_edge.graph.keras_own import DepthToSpace

Map = Any
"""A symbolic tensor of tf_keras."""


def add_block(x: Map, width: int, name: str, convolutions: int = 2, kernel: int = 3) -> Map:
    """Return convolutions of one width, each with batch normalisation and ReLU: [N, H, W, C] to [N, H, W, width]."""
    for number in range(1, convolutions + 1):
        x = layers.Conv2D(
            width, kernel, padding="same", use_bias=False, kernel_initializer="he_normal", name=f"{name}_conv{number}"
        )(x)
        x = layers.BatchNormalization(name=f"{name}_norm{number}")(x)
        x = layers.ReLU(name=f"{name}_relu{number}")(x)
    return x


def add_encoder(image: Map, widths: tuple[int, ...], fold: int) -> list[Map]:
    """Return the maps of all scales, finest first, each of two convolutions.

    Where the finest is `fold` > 1 times smaller than the image, a strided convolution takes the place of its first convolution.
    """
    x, maps = image, []
    if fold > 1:
        x = layers.Conv2D(widths[0], fold, strides=fold, use_bias=False, name="stem_conv")(x)
        x = layers.BatchNormalization(name="stem_norm")(x)
        x = layers.ReLU(name="stem_relu")(x)
    for number, width in enumerate(widths, 1):
        if number > 1:
            x = layers.MaxPooling2D(name=f"down{number - 1}")(x)
        x = add_block(x, width, f"enc{number}", 1 if fold > 1 and number == 1 else 2)
        maps.append(x)
    return maps


def add_head(x: Map, classes: int, fold: int) -> Map:
    """Return probabilities [N, fold * H, fold * W, classes]: a 1x1 convolution, depth-to-space, and a sigmoid or softmax."""
    x = layers.Conv2D(classes * fold**2, 1, padding="same", name="head")(x)
    if fold > 1:
        x = DepthToSpace(fold, name="unfold")(x)
    return layers.Activation("sigmoid" if classes == 1 else "softmax", name="mask")(x)
