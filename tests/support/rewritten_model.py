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


def shift(x: Any, by: tuple[int, int]) -> Any:
    """Down and right by rows and columns, zeros where nothing comes from."""
    down, right = by
    x = layers.Cropping2D(((max(0, -down), max(0, down)), (max(0, -right), max(0, right))))(x)
    return layers.ZeroPadding2D(((max(0, down), max(0, -down)), (max(0, right), max(0, -right))))(x)


def conv(x: Any, filters: int, kernel: int | tuple[int, int], name: str, **options: Any) -> Any:
    return layers.Conv2D(filters, kernel, padding="same", name=name, **options)(x)


def upsampled_branch(x: Any, filters: int, scale: int, name: str) -> Any:
    """Three of the nine taps of a convolution over an upsampled map: enough for sums along rows and along columns."""
    rows = layers.UpSampling2D((scale, 1), interpolation="bilinear")
    columns = layers.UpSampling2D((1, scale), interpolation="bilinear")
    centre = layers.Add(name=f"{name}_rows")(
        [rows(conv(x, filters, 1, f"{name}_a")), shift(rows(conv(x, filters, 1, f"{name}_b")), (1, 0))]
    )
    side = rows(conv(x, filters, 1, f"{name}_c"))
    summed = layers.Add(name=f"{name}_sum")([columns(centre), shift(columns(side), (0, -1))])
    return layers.ReLU(name=name)(summed)


def halved_rows(x: Any, filters: int, name: str) -> Any:
    """Even and odd rows apart, products of their sum and difference, and the rows of the results put together again."""
    height, width, channels = x.shape[1:]
    pairs = layers.Reshape((height // 2, 2 * width, channels))(x)
    even, odd = layers.Cropping2D(((0, 0), (0, width)))(pairs), layers.Cropping2D(((0, 0), (width, 0)))(pairs)
    first = conv(layers.Subtract(name=f"{name}_t0")([shift(odd, (1, 0)), odd]), filters, (1, 3), f"{name}_m0")
    second = conv(layers.Add(name=f"{name}_t1")([even, odd]), filters, (1, 3), f"{name}_m1")
    sums = [
        layers.ReLU(name=f"{name}_first")(layers.Add(name=f"{name}_y0")([first, second])),
        layers.ReLU(name=f"{name}_second")(layers.Subtract(name=f"{name}_y1")([second, first])),
    ]
    return layers.Reshape((height, width, filters), name=name)(layers.Concatenate(axis=2, name=f"{name}_pair")(sums))


def by_hand() -> tf_keras.Model:
    """[N, 16, 16, 1] to a mask, with both forms side by side before a concatenation of channels, and rows before the mask."""
    tf_keras.utils.set_random_seed(6)
    image = layers.Input((16, 16, 1), name="image")
    first = conv(image, 4, 3, "encoder", activation="relu")
    deep = conv(layers.MaxPooling2D(4)(first), 6, 3, "deep", activation="relu")
    joined = layers.Concatenate(name="joined")([upsampled_branch(deep, 4, 4, "up"), halved_rows(first, 4, "skip")])
    return tf_keras.Model(image, layers.Activation("sigmoid", name="mask")(halved_rows(joined, 1, "head")))
