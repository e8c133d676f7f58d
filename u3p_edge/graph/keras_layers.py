"""The table of which Keras layer is which op: one line of `LAYERS` for each layer class. Plain data, no TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from u3p_edge.graph.ops import FUNCTIONS, Weights


@dataclass(frozen=True)
class Layer:
    """How one Keras layer class is written as a node.

    Args:
        op: the node's op.
        attrs: from the names of the op's attributes to the keys of the layer's config.
        weights: from the names of the op's weights to the attributes of the layer.
        derived: computes the config keys that follow from the weights, so that the node does not store them twice.
        swap: whether to exchange the last two axes of the kernel (Keras keeps transposed kernels as HWOI).
    """

    op: str
    attrs: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    derived: Callable[[Weights], dict[str, Any]] = lambda _: {}
    swap: bool = False


def _conv(weights: Weights) -> dict[str, Any]:
    kernel = weights["kernel"]
    return {"filters": kernel.shape[3], "kernel_size": list(kernel.shape[:2]), "use_bias": "bias" in weights}


def _depthwise(weights: Weights) -> dict[str, Any]:
    kernel = weights["kernel"]
    return {"kernel_size": list(kernel.shape[:2]), "depth_multiplier": kernel.shape[3], "use_bias": "bias" in weights}


def _dense(weights: Weights) -> dict[str, Any]:
    return {"units": weights["kernel"].shape[1], "use_bias": "bias" in weights}


def _norm(weights: Weights) -> dict[str, Any]:
    return {"scale": "gamma" in weights, "center": "beta" in weights}


def _own(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_STEPS = {**_own("strides", "padding", "activation"), "dilation": "dilation_rate"}
_KERNEL = _own("kernel", "bias")
_POOL = _own("pool_size", "strides", "padding")
_GLOBAL = _own("keepdims")
_NORM_WEIGHTS = _own("gamma", "beta")

LAYERS: Mapping[str, Layer] = MappingProxyType(
    {
        "InputLayer": Layer("input", {"shape": "batch_input_shape", "dtype": "dtype"}),
        "Conv2D": Layer("conv", {**_STEPS, "groups": "groups"}, _KERNEL, _conv),
        "Conv2DTranspose": Layer("conv_transpose", {**_STEPS, "output_padding": "output_padding"}, _KERNEL, _conv, swap=True),
        "DepthwiseConv2D": Layer("depthwise_conv", _STEPS, {"kernel": "depthwise_kernel", "bias": "bias"}, _depthwise),
        "Dense": Layer("dense", _own("activation"), _KERNEL, _dense),
        "BatchNormalization": Layer(
            "batch_norm",
            _own("axis", "epsilon"),
            {**_NORM_WEIGHTS, "mean": "moving_mean", "variance": "moving_variance"},
            _norm,
        ),
        "LayerNormalization": Layer("layer_norm", _own("axis", "epsilon"), _NORM_WEIGHTS, _norm),
        "Activation": Layer("activation", {"function": "activation"}),
        "ReLU": Layer("relu", _own("max_value", "negative_slope", "threshold")),
        "LeakyReLU": Layer("leaky_relu", _own("alpha")),
        "ELU": Layer("elu", _own("alpha")),
        "PReLU": Layer("prelu", _own("shared_axes"), _own("alpha")),
        "Softmax": Layer("softmax", _own("axis")),
        "MaxPooling2D": Layer("max_pool", _POOL),
        "AveragePooling2D": Layer("average_pool", _POOL),
        "GlobalMaxPooling2D": Layer("global_max_pool", _GLOBAL),
        "GlobalAveragePooling2D": Layer("global_average_pool", _GLOBAL),
        "UpSampling2D": Layer("upsample", _own("size", "interpolation")),
        "Concatenate": Layer("concat", _own("axis")),
        "Add": Layer("add"),
        "Subtract": Layer("subtract"),
        "Multiply": Layer("multiply"),
        "Maximum": Layer("maximum"),
        "Minimum": Layer("minimum"),
        "Average": Layer("average"),
        "Cropping2D": Layer("crop", _own("cropping")),
        "CropMaps": Layer("crop", _own("cropping", "channels")),
        "SpaceToDepth": Layer("space_to_depth", _own("block")),
        "DepthToSpace": Layer("depth_to_space", _own("block")),
        "ZeroPadding2D": Layer("pad", _own("padding")),
        "Reshape": Layer("reshape", _own("target_shape")),
        "Flatten": Layer("flatten"),
        "Rescaling": Layer("rescale", _own("scale", "offset")),
        "Identity": Layer("identity"),
        "Dropout": Layer("dropout", _own("rate")),
        "SpatialDropout2D": Layer("spatial_dropout", _own("rate")),
        "AlphaDropout": Layer("alpha_dropout", _own("rate")),
        "GaussianDropout": Layer("gaussian_dropout", _own("rate")),
        "GaussianNoise": Layer("gaussian_noise", _own("stddev")),
    }
)
"""Every layer class that a graph can represent: tf_keras' own, and those of `u3p_edge.graph.keras_own`."""

REFUSED: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    ("data_format", lambda value: bool(value == "channels_first"), "its data format is channels_first"),
    ("interpolation", lambda value: value not in ("nearest", "bilinear"), "its interpolation is not nearest or bilinear"),
    ("activation", lambda value: value not in FUNCTIONS, "its activation is not one of Keras' own, by name"),
    ("sparse", bool, "it is sparse"),
    ("ragged", bool, "it is ragged"),
)
"""Config keys whose value may make a known layer class impossible to export: the key, a test of its value, and the reason."""
