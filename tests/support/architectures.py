"""Small encoder-decoders in Keras, with the layers and in the style in which networks for segmentation are published."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tf_keras
from tf_keras import layers as L

SIZE = (48, 64)
CLASSES = 3


def conv_norm(x: Any, filters: int, kernel: int = 3, *, activation: str = "relu", **options: Any) -> Any:
    x = L.Conv2D(filters, kernel, padding="same", use_bias=False, **options)(x)
    x = L.BatchNormalization()(x)
    return L.Activation(activation)(x) if activation else x


def residual(x: Any, filters: int, stride: int = 1) -> Any:
    """A pre-activated residual block (He et al. 2016, arXiv:1603.05027), padded by a layer of its own."""
    y = L.Activation("relu")(L.BatchNormalization()(x))
    short = L.Conv2D(filters, 1, strides=stride, use_bias=False)(y) if stride > 1 or x.shape[-1] != filters else x
    y = L.Conv2D(filters, 3, strides=stride, use_bias=False)(L.ZeroPadding2D(1)(y))
    y = L.Activation("relu")(L.BatchNormalization()(y))
    return L.Add()([L.Conv2D(filters, 3, use_bias=False)(L.ZeroPadding2D(1)(y)), short])


def inverted(x: Any, filters: int, stride: int = 1, expand: int = 2) -> tuple[Any, Any]:
    """An inverted residual (Sandler et al. 2018, arXiv:1801.04381), and what it expands to."""
    wide = conv_norm(x, expand * x.shape[-1], 1, activation="")
    wide = L.ReLU(6.0)(wide)
    y = L.ZeroPadding2D(((0, 1), (0, 1)))(wide) if stride > 1 else wide
    y = L.DepthwiseConv2D(3, strides=stride, padding="valid" if stride > 1 else "same", use_bias=False)(y)
    y = conv_norm(L.ReLU(6.0)(L.BatchNormalization()(y)), filters, 1, activation="")
    return (L.Add()([x, y]) if stride == 1 and x.shape[-1] == filters else y), wide


def unet(image: Any) -> Any:
    """UNet (Ronneberger et al. 2015, arXiv:1505.04597) with transposed convolutions and dropout."""
    one = conv_norm(conv_norm(image, 4), 4)
    two = conv_norm(L.MaxPooling2D()(one), 8)
    x = L.SpatialDropout2D(0.2)(conv_norm(L.MaxPooling2D()(two), 8))
    for skip, filters in ((two, 8), (one, 4)):
        x = L.Conv2DTranspose(filters, 4, strides=2, padding="same", use_bias=False)(x)
        x = L.Activation("relu")(L.BatchNormalization()(x))
        x = conv_norm(L.Concatenate()([x, skip]), filters)
    return L.Conv2D(CLASSES, 1, name="logits")(x)


def unet_plus_plus(image: Any) -> Any:
    """UNet++ (Zhou et al. 2018, arXiv:1807.10165): nested skips, one mask a depth, their average."""
    grid: dict[tuple[int, int], Any] = {}
    for level, filters in enumerate((4, 8, 8)):
        x = image if level == 0 else L.MaxPooling2D()(grid[level - 1, 0])
        grid[level, 0] = conv_norm(x, filters, activation="elu")
    for step in (1, 2):
        for level in range(3 - step):
            up = L.UpSampling2D(2, interpolation="bilinear")(grid[level + 1, step - 1])
            joined = L.Concatenate()([*(grid[level, each] for each in range(step)), up])
            grid[level, step] = conv_norm(joined, (4, 8)[level], activation="elu")
    return L.Average(name="logits")([L.Conv2D(CLASSES, 1)(grid[0, step]) for step in (1, 2)])


def linknet(image: Any) -> Any:
    """LinkNet (Chaurasia and Culurciello 2017, arXiv:1707.03718) on a residual encoder whose images are normalised first."""
    x = L.BatchNormalization(scale=False, name="bn_data")(image)
    x = L.Conv2D(8, 7, strides=2, use_bias=False)(L.ZeroPadding2D(3)(x))
    one = L.Activation("relu")(L.BatchNormalization()(x))
    two = residual(L.MaxPooling2D(3, strides=2)(L.ZeroPadding2D(1)(one)), 8)
    x = L.Activation("relu")(L.BatchNormalization()(residual(two, 16, 2)))
    for skip, filters in ((two, 8), (one, 8), (None, 4)):
        x = conv_norm(x, x.shape[-1] // 2, 1)
        x = conv_norm(L.UpSampling2D(2)(x), x.shape[-1])
        x = conv_norm(x, filters, 1)
        x = x if skip is None else L.Add()([x, skip])
    return L.Conv2D(CLASSES, 3, padding="same", name="logits")(x)


def deeplab(image: Any) -> Any:
    """DeepLab v3+ (Chen et al. 2018, arXiv:1802.02611): separable and dilated convolutions, a pooled image, a skip."""
    skip = conv_norm(image, 6, strides=2)
    x = L.SeparableConv2D(8, 3, strides=2, padding="same", use_bias=False)(skip)
    x = L.ReLU()(L.BatchNormalization()(x))
    pooled = conv_norm(L.GlobalAveragePooling2D(keepdims=True)(x), 4, 1)
    parts = [conv_norm(x, 4, 1), conv_norm(x, 4, dilation_rate=2), conv_norm(x, 4, dilation_rate=3)]
    x = conv_norm(L.Concatenate()([L.UpSampling2D(x.shape[1:3], interpolation="bilinear")(pooled), *parts]), 8, 1)
    x = L.Concatenate()([L.UpSampling2D(2, interpolation="bilinear")(L.Dropout(0.1)(x)), conv_norm(skip, 4, 1)])
    x = L.SeparableConv2D(8, 3, padding="same", activation="relu")(x)
    return L.UpSampling2D(2, interpolation="bilinear", name="logits")(L.Conv2D(CLASSES, 1)(x))


def unet3plus_mobile(image: Any) -> Any:
    """UNet 3+ (Huang et al. 2020, arXiv:2004.08790) on an encoder of inverted residuals, with squeeze and excitation."""
    one = conv_norm(image, 4, activation="swish")
    x, _ = inverted(one, 6, 2)
    two, _ = inverted(x, 6)
    three, _ = inverted(two, 8, 2)
    gate = L.Dense(8, "sigmoid")(L.Dense(2, "relu")(L.GlobalAveragePooling2D()(three)))
    three = L.Multiply()([three, L.Reshape((1, 1, 8))(gate)])
    down = [L.MaxPooling2D()(one), two, L.UpSampling2D(2, interpolation="bilinear")(three)]
    second = conv_norm(L.Concatenate()([conv_norm(branch, 4) for branch in down]), 12)
    up = [one, L.UpSampling2D(2, interpolation="bilinear")(second), L.UpSampling2D(4, interpolation="bilinear")(three)]
    return L.Conv2D(CLASSES, 3, padding="same", name="logits")(
        conv_norm(L.Concatenate()([conv_norm(branch, 4) for branch in up]), 12)
    )


ARCHITECTURES: Mapping[str, Callable[[Any], Any]] = {
    "UNet": unet,
    "UNet++": unet_plus_plus,
    "LinkNet": linknet,
    "DeepLab": deeplab,
    "UNet 3+ on inverted residuals": unet3plus_mobile,
}


def build(name: str, channels: int = 1) -> tf_keras.Model:
    """The network with every weight as if trained: running statistics too, so that a mix-up shows."""
    tf_keras.utils.set_random_seed(4)
    image = tf_keras.Input((*SIZE, channels), name="scan")
    logits = ARCHITECTURES[name](image)
    model = tf_keras.Model(image, L.Activation("softmax", name="probabilities")(logits))
    rng = np.random.default_rng(5)
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            drawn = {"gamma": (0.7, 1.3), "beta": (-0.2, 0.2), "moving_mean": (-0.2, 0.2), "moving_variance": (0.5, 1.5)}
            for key, ends in drawn.items():
                variable = getattr(layer, key)
                if variable is not None:
                    variable.assign(rng.uniform(*ends, variable.shape))
    # So that classes differ as after training: logits of a deviation of 2.
    spread = float(np.std(tf_keras.Model(image, logits)(rng.normal(0, 1, (1, *SIZE, channels)), training=False)))
    for head in (layer for layer in model.layers if isinstance(layer, L.Conv2D) and layer.filters == CLASSES):
        head.kernel.assign(head.kernel * 2 / spread)
    return model
