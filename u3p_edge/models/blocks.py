"""The pieces of a UNet 3+, as functions from tensor to tensor.

Every layer is a plain functional tf_keras layer, and its name says its position in the network, so that the TensorFlow model
optimisation toolkit, the TFLite converter and this package's graph reader accept the model and their messages can be read:

    enc<s>_conv1, enc<s>_norm1, enc<s>_relu1, ...2     encoder block at scale s
    enc<s>_shortcut_conv, enc<s>_shortcut_norm, enc<s>_add   its residual path, where it has one
    down<s>_pool | down<s>_conv, down<s>_norm          from encoder scale s to s + 1
    dec<t>_from_enc<s>_pool, _up, _conv, _norm, _relu  branch of decoder t (also dec<t>_from_dec<s>_...)
    dec<t>_concat, dec<t>_fuse_conv, _norm, _relu      fusion of decoder t's five branches
    head<s>_conv, head<s>_up, output_de<s> | output    a mask from scale s
"""

from __future__ import annotations

import tensorflow as tf
from tf_keras import initializers, layers

from u3p_edge.models.config import SCALES, Normalization, UNet3PlusConfig

GAMMA_STDDEV = 0.02
"""Spread of batch normalisation's initial scale around 1 in the paper's code."""


def encoder_block(x: tf.Tensor, config: UNet3PlusConfig, scale: int) -> tf.Tensor:
    """Apply the two convolutions of an encoder block, optionally residual.

    Args:
        x: [N, h, w, c].
        config: of the network.
        scale: 1 to 5.

    Returns:
        [N, h, w, encoder width], twice as wide with `double_features`.
    """
    name, width = f"enc{scale}", config.encoder_width(scale)
    out = width * 2 if config.double_features else width
    y = _conv(x, config, width, f"{name}_conv1", bias=config.conv_bias)
    y = _normalize(y, config, config.normalization, f"{name}_norm1")
    y = layers.Activation("relu", name=f"{name}_relu1")(y)
    y = _conv(y, config, out, f"{name}_conv2", bias=config.conv_bias)
    y = _normalize(y, config, config.normalization, f"{name}_norm2")
    if config.residual:
        y = layers.Add(name=f"{name}_add")([y, _shortcut(x, config, out, name)])
    return layers.Activation("relu", name=f"{name}_relu2")(y)


def down(x: tf.Tensor, config: UNet3PlusConfig, scale: int) -> tf.Tensor:
    """Bring the output of encoder `scale` to the next scale: [N, h, w, c] to [N, h/2, w/2, c or encoder width]."""
    name = f"down{scale}"
    if config.down_pattern == "max":
        return layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    if config.down_pattern == "average":
        return layers.AveragePooling2D(2, name=f"{name}_pool")(x)
    before = config.down_pattern == "normconv"
    # A bias before a normalisation would be subtracted again; the article's bare 'conv' has none either.
    bias = before or config.conv_bias
    if before:
        x = _normalize(x, config, config.down_normalization, f"{name}_norm")
    x = _conv(x, config, config.encoder_width(scale), f"{name}_conv", kernel=2, strides=2, bias=bias)
    return x if before else _normalize(x, config, config.down_normalization, f"{name}_norm")


def branch(x: tf.Tensor, config: UNet3PlusConfig, source: tuple[str, int], target: int) -> tf.Tensor:
    """Bring one of the five inputs of decoder `target` to its size, then convolve it to `base_width` channels.

    Args:
        x: [N, h, w, c], the output of `source`.
        source: ("enc" or "dec", scale); shallower scales are max-pooled, deeper ones upsampled bilinearly.
        target: the decoder's scale, 1 to 4.
    """
    kind, scale = source
    name, factor = f"dec{target}_from_{kind}{scale}", 2 ** abs(scale - target)
    if scale < target:
        x = layers.MaxPooling2D(factor, name=f"{name}_pool")(x)
    elif scale > target:
        x = layers.UpSampling2D(factor, interpolation="bilinear", name=f"{name}_up")(x)
    return _conv_norm_relu(x, config, config.base_width, name)


def fuse(branches: list[tf.Tensor], config: UNet3PlusConfig, target: int) -> tf.Tensor:
    """Join the five branches of decoder `target`, deepest first, and convolve them: [N, h, w, 5 * base_width]."""
    joined = layers.Concatenate(name=f"dec{target}_concat")(branches)
    return _conv_norm_relu(joined, config, config.base_width * SCALES, f"dec{target}_fuse")


def head(x: tf.Tensor, config: UNet3PlusConfig, scale: int, output: str) -> tf.Tensor:
    """Return a mask of full size from a scale: [N, H, W, classes], activated. Logits are upsampled, not probabilities.

    Args:
        x: the decoder's output [N, h, w, c].
        config: of the network.
        scale: 1 to 5.
        output: name of the output layer.
    """
    kernel = config.kernel_size if config.deep_supervision or config.head_kernel is None else config.head_kernel
    y = _conv(x, config, config.classes, f"head{scale}_conv", kernel=kernel, bias=True)
    if scale > 1:
        y = layers.UpSampling2D(2 ** (scale - 1), interpolation="bilinear", name=f"head{scale}_up")(y)
    return layers.Activation(config.activation, name=output)(y)


def kernel_initializer(config: UNet3PlusConfig) -> initializers.Initializer:
    """Make a convolution's initializer: variance 2 / fan-in; a new one each time, as Keras needs for independent draws."""
    truncated = config.initializer == "he_normal"
    distribution = "truncated_normal" if truncated else "untruncated_normal"
    return initializers.VarianceScaling(scale=2.0, mode="fan_in", distribution=distribution)


def _shortcut(x: tf.Tensor, config: UNet3PlusConfig, out: int, name: str) -> tf.Tensor:
    if x.shape[-1] == out:
        return x
    x = _conv(x, config, out, f"{name}_shortcut_conv", kernel=1, bias=config.conv_bias)
    return _normalize(x, config, config.normalization, f"{name}_shortcut_norm")


def _conv_norm_relu(x: tf.Tensor, config: UNet3PlusConfig, filters: int, name: str) -> tf.Tensor:
    x = _conv(x, config, filters, f"{name}_conv", bias=config.decoder_bias)
    x = _normalize(x, config, config.normalization, f"{name}_norm")
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _conv(
    x: tf.Tensor, config: UNet3PlusConfig, filters: int, name: str, *, bias: bool, kernel: int | None = None, strides: int = 1
) -> tf.Tensor:
    size = config.kernel_size if kernel is None else kernel
    initializer = kernel_initializer(config)
    return layers.Conv2D(
        filters, size, strides=strides, padding="same", use_bias=bias, kernel_initializer=initializer, name=name
    )(x)


def _normalize(x: tf.Tensor, config: UNet3PlusConfig, kind: Normalization, name: str) -> tf.Tensor:
    if kind == "none":
        return x
    if kind == "layer":
        return layers.LayerNormalization(epsilon=config.norm_epsilon, name=name)(x)
    drawn = config.initializer == "kaiming_normal"
    gamma = initializers.RandomNormal(mean=1.0, stddev=GAMMA_STDDEV) if drawn else "ones"
    momentum, epsilon = config.norm_momentum, config.norm_epsilon
    return layers.BatchNormalization(momentum=momentum, epsilon=epsilon, gamma_initializer=gamma, name=name)(x)
