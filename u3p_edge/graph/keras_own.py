"""Layers that a graph needs and tf_keras lacks. Each is one operation that every converter knows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, reduce
from typing import Any

import tensorflow as tf
import tf_keras


@cache
def layer_of(name: str, function: str) -> type[tf_keras.layers.Layer]:
    """Return a layer class that applies one function of TensorFlow to its input or inputs, such as "math.abs"."""
    operation = reduce(getattr, function.split("."), tf)

    def call(_self: Any, inputs: Any) -> tf.Tensor:
        return operation(*inputs) if isinstance(inputs, (list, tuple)) else operation(inputs)

    return type(name, (tf_keras.layers.Layer,), {"call": call, "__module__": __name__})


class Rsqrt(tf_keras.layers.Layer):  # type: ignore[misc]  # TensorFlow is not followed
    """A layer that computes 1 / sqrt(x). Its gradient is 0 where nothing asks for it, also at x = 0, where it is infinite."""

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return _rsqrt(inputs)


@tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow is not followed
def _rsqrt(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
    root = tf.math.rsqrt(x)
    return root, lambda upstream: tf.math.multiply_no_nan(-0.5 * root**3, upstream)


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
