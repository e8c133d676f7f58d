"""Layers that a graph needs and tf_keras lacks. They only move values, and every converter knows their one operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras


class CropMaps(tf_keras.layers.Layer):  # type: ignore[misc]  # TensorFlow is not followed
    """A layer that cuts rows, columns and channels off maps [N, H, W, C].

    Args:
        cropping: ((top, bottom), (left, right)) as in Cropping2D.
        channels: the first channel that is kept, and one past the last; None for all.
    """

    def __init__(self, cropping: Sequence[Sequence[int]], channels: Sequence[int] | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.cropping, self.channels = cropping, channels

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        (top, bottom), (left, right) = self.cropping
        height, width, channels = inputs.shape[1:]
        first, last = self.channels or (0, channels)
        return inputs[:, top : height - bottom, left : width - right, first:last]

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "cropping": self.cropping, "channels": self.channels}


class _Blocks(tf_keras.layers.Layer):  # type: ignore[misc]  # TensorFlow is not followed
    """A layer that moves values between pixels and channels, in square blocks of `block` pixels a side."""

    def __init__(self, block: int, **options: Any) -> None:
        super().__init__(**options)
        self.block = block

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "block": self.block}


class SpaceToDepth(_Blocks):
    """A layer that turns pixels into channels: [N, H, W, C] to [N, H / block, W / block, block^2 C]."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.nn.space_to_depth(inputs, self.block)


class DepthToSpace(_Blocks):
    """The inverse of `SpaceToDepth`."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.nn.depth_to_space(inputs, self.block)
