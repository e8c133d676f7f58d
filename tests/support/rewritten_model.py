"""A Keras model with every op that rewriting makes."""

from __future__ import annotations

from typing import Any

import tf_keras
from tf_keras import layers


def rewritten(size: int = 32) -> tf_keras.Model:
    """Shifts by crop and pad, resizes along one axis, sums and differences before a ReLU, cuts joined along height and
    width, a reshape of a map, a gate: [N, size, size, 1] to 3 classes."""
    tf_keras.utils.set_random_seed(4)
    image = layers.Input((size, size, 1), name="image")
    first = layers.Conv2D(6, 3, padding="same", activation="relu", name="first")(image)
    low = layers.Conv2D(9, 1, name="low")(layers.MaxPooling2D(4)(first))
    wide = layers.UpSampling2D((1, 4), interpolation="bilinear", name="wide")(low)
    wide = layers.Add(name="columns")([_shifted(wide, 2, 1, "right"), wide, _shifted(wide, 2, -1, "left")])
    tall = layers.UpSampling2D((4, 1), interpolation="bilinear", name="tall")(wide)
    total = layers.ReLU(name="total_relu")(layers.Add(name="rows")([_shifted(tall, 1, 1, "down"), tall]))
    near = layers.UpSampling2D((1, 4), name="near_wide")(layers.UpSampling2D((4, 1), name="near_tall")(low))
    difference = layers.ReLU(name="difference_relu")(layers.Subtract(name="difference")([total, near]))
    half = size // 2
    parts = [layers.Cropping2D(((0, half), (0, 0)), name="top")(difference)]
    parts += [layers.Cropping2D(((half, 0), (0, 0)), name="bottom")(difference)]
    joined = layers.Concatenate(axis=1, name="joined_rows")(parts)
    parts = [layers.Cropping2D(((0, 0), ends), name=f"part_{i}")(joined) for i, ends in enumerate(((0, half), (half, 0)))]
    joined = layers.Concatenate(axis=2, name="joined_columns")(parts)
    folded = layers.Reshape((half, 2 * size, 9), name="folded")(joined)
    folded = layers.Conv2D(9, 3, padding="same", name="between")(folded)
    joined = layers.Concatenate(name="all")([layers.Reshape((size, size, 9), name="unfolded")(folded), first])
    softmax = layers.Softmax(name="softmax")(layers.Conv2D(3, 1, name="logits")(joined))
    gate = layers.GlobalMaxPooling2D()(layers.Conv2D(3, 1, name="gate")(first))
    gate = layers.Reshape((1, 1, 3))(layers.Activation("sigmoid")(gate))
    return tf_keras.Model(image, layers.Multiply(name="gated")([softmax, gate]))


def _shifted(x: Any, axis: int, by: int, name: str) -> Any:
    """The map moved by one pixel, zeros moving in."""
    cut, fill = ((0, 1), (1, 0)) if by > 0 else ((1, 0), (0, 1))
    both = (lambda ends: (ends, (0, 0))) if axis == 1 else (lambda ends: ((0, 0), ends))
    return layers.ZeroPadding2D(both(fill), name=f"{name}_pad")(layers.Cropping2D(both(cut), name=f"{name}_crop")(x))
