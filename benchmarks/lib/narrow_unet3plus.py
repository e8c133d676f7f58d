"""A UNet 3+ of few channels, for comparison: built narrow instead of pruned, and cheaper than the paper's.

A branch from a deeper level is a 1x1 convolution before the upsampling, not a 3x3 one after it, and the fusion may have fewer
channels than the branches together.
"""

from __future__ import annotations

import tf_keras
from tf_keras import layers

from benchmarks.lib.blocks import Map, add_block, add_encoder, add_head


def build(
    size: tuple[int, int], channels: int, classes: int, widths: tuple[int, ...], branch: int, fusion: int, fold: int = 1
) -> tf_keras.Model:
    """Return a network with fresh weights: `image` [N, H, W, C] to `mask` [N, H, W, K] of probabilities.

    Args:
        size: height and width, multiples of fold * 2 ** (scales - 1).
        channels: channels of the image.
        classes: channels of the mask; 1 is a sigmoid, more a softmax.
        widths: channels of each scale of the encoder, finest first.
        branch: channels of each branch of a decoder.
        fusion: channels of each decoder's result.
        fold: how many times smaller than the image the finest scale is.
    """
    image = layers.Input((*size, channels), name="image")
    maps = add_encoder(image, widths, fold)
    scales = len(widths)
    for target in range(scales - 2, -1, -1):  # each decoder takes the place of its level's encoder map
        branches = [_add_branch(maps[source], branch, source, target) for source in range(scales - 1, -1, -1)]
        joined = layers.Concatenate(name=f"d{target + 1}_cat")(branches)
        maps[target] = add_block(joined, fusion, f"d{target + 1}_fuse", 1)
    return tf_keras.Model(image, add_head(maps[0], classes, fold), name="narrow_unet3plus")


def _add_branch(x: Map, width: int, source: int, target: int) -> Map:
    """Return the map of one level at another level's size, with `width` channels."""
    name = f"d{target + 1}_from{source + 1}"
    if source > target:
        x = add_block(x, width, name, 1, kernel=1)
        return layers.UpSampling2D(2 ** (source - target), interpolation="bilinear", name=f"{name}_up")(x)
    if source < target:
        x = layers.MaxPooling2D(2 ** (target - source), name=f"{name}_down")(x)
    return add_block(x, width, name, 1)
