"""Ops with a kernel: convolutions of three kinds, and dense layers. They may end in an activation, "linear" for none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from u3p_edge.graph.ops.functions import apply_function
from u3p_edge.graph.ops.op import Array, Attrs, Layer, Op, Shape, Weights, own_names
from u3p_edge.graph.ops.windows import pad_border, patches, window_sizes


def _conv_shape(attrs: Attrs, weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    kernel = weights["kernel"].shape
    _check_channels(inputs[0][3], kernel[2] * attrs["groups"])
    return (inputs[0][0], *window_sizes(attrs, inputs[0], kernel), kernel[3])


def _depthwise_shape(attrs: Attrs, weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    kernel = weights["kernel"].shape
    _check_channels(inputs[0][3], kernel[2])
    return (inputs[0][0], *window_sizes(attrs, inputs[0], kernel), kernel[2] * kernel[3])


def _transposed_shape(attrs: Attrs, weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, *size, channels = inputs[0]
    kernel = weights["kernel"].shape
    _check_channels(channels, kernel[2])
    return (batch, *(_transposed_length(attrs, size[i], kernel[i], i) for i in (0, 1)), kernel[3])


def _transposed_length(attrs: Attrs, size: int, kernel: int, axis: int) -> int:
    """Return the length of a transposed convolution's output along one axis, as Keras counts it."""
    stride, extra = attrs["strides"][axis], attrs["output_padding"]
    span = (kernel - 1) * attrs["dilation"][axis] + 1
    if extra is not None:
        pad = span // 2 if attrs["padding"] == "same" else 0
        return int((size - 1) * stride + span - 2 * pad + extra[axis])
    return int(size * stride + (max(span - stride, 0) if attrs["padding"] == "valid" else 0))


def _dense_shape(_attrs: Attrs, weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    kernel = weights["kernel"].shape
    if inputs[0][-1] != kernel[0]:
        raise ValueError(f"{inputs[0][-1]} features meet a kernel for {kernel[0]}")
    return (*inputs[0][:-1], kernel[1])


def _check_channels(given: int, expected: int) -> None:
    if given != expected:
        raise ValueError(f"{given} channels meet a kernel for {expected}")


def _conv(attrs: Attrs, weights: Weights, x: Sequence[Array]) -> Array:
    kernel, groups = weights["kernel"], attrs["groups"]
    each, filters = kernel.shape[2], kernel.shape[3] // groups
    parts = [
        _sum_of_taps(attrs, x[0][..., g * each : (g + 1) * each], kernel[..., g * filters : (g + 1) * filters])
        for g in range(groups)
    ]
    return _finished(attrs, weights, np.concatenate(parts, axis=-1))


def _depthwise(attrs: Attrs, weights: Weights, x: Sequence[Array]) -> Array:
    kernel = weights["kernel"]
    parts = [_sum_of_taps(attrs, x[0][..., c : c + 1], kernel[:, :, c : c + 1]) for c in range(kernel.shape[2])]
    return _finished(attrs, weights, np.concatenate(parts, axis=-1))


def _separable_shape(attrs: Attrs, weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    deep = _depthwise_shape(attrs, {"kernel": weights["depthwise"]}, inputs)
    _check_channels(deep[3], weights["pointwise"].shape[2])
    return (*deep[:3], weights["pointwise"].shape[3])


def _separable(attrs: Attrs, weights: Weights, x: Sequence[Array]) -> Array:
    """Compute a depthwise convolution, then a 1x1 convolution with the bias and the activation (Chollet 2017,
    arXiv:1610.02357)."""
    deep = _depthwise({**attrs, "activation": "linear"}, {"kernel": weights["depthwise"]}, x)
    flat = {**attrs, "strides": (1, 1), "dilation": (1, 1), "groups": 1}
    return _conv(flat, {**weights, "kernel": weights["pointwise"]}, [deep])


def _transposed(attrs: Attrs, weights: Weights, x: Sequence[Array]) -> Array:
    """Compute the adjoint of a strided convolution: every input pixel adds its kernel into the output."""
    kernel, strides, dilation = weights["kernel"], attrs["strides"], attrs["dilation"]
    lengths, spans = x[0].shape[1:3], [(kernel.shape[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    size = [_transposed_length(attrs, lengths[i], kernel.shape[i], i) for i in (0, 1)]
    full = [(lengths[i] - 1) * strides[i] + spans[i] for i in (0, 1)]
    # `same` cuts off half of the excess at the start, the smaller half if it is odd.
    before = [0 if attrs["padding"] == "valid" else max(full[i] - size[i], 0) // 2 for i in (0, 1)]
    whole = [max(full[i], before[i] + size[i]) for i in (0, 1)]
    total = np.zeros((x[0].shape[0], *whole, kernel.shape[3]), x[0].dtype)
    for a, b in np.ndindex(*kernel.shape[:2]):
        rows, columns = (
            slice(k * dilation[i], k * dilation[i] + (lengths[i] - 1) * strides[i] + 1, strides[i]) for i, k in ((0, a), (1, b))
        )
        for channel in range(kernel.shape[2]):
            total[:, rows, columns] += x[0][..., channel, None] * kernel[a, b, channel]
    kept = total[:, before[0] : before[0] + size[0], before[1] : before[1] + size[1]]
    return _finished(attrs, weights, kept)


def _dense(attrs: Attrs, weights: Weights, x: Sequence[Array]) -> Array:
    kernel = weights["kernel"]
    total = np.zeros((*x[0].shape[:-1], kernel.shape[1]), x[0].dtype)
    for channel in range(kernel.shape[0]):
        total = total + x[0][..., channel, None] * kernel[channel]
    return _finished(attrs, weights, total)


def _sum_of_taps(attrs: Attrs, x: Array, kernel: Array) -> Array:
    total: Array | None = None
    for (a, b), patch in patches(attrs, pad_border(attrs, x, kernel.shape[:2], 0), kernel.shape[:2]):
        for channel in range(kernel.shape[2]):
            product = patch[..., channel, None] * kernel[a, b, channel]
            total = product if total is None else total + product
    assert total is not None, "a kernel has taps"
    return total


def _finished(attrs: Attrs, weights: Weights, x: Array) -> Array:
    return apply_function(attrs["activation"], x + weights.get("bias", np.zeros((), x.dtype)))


def _macs(_attrs: Attrs, weights: Weights, _inputs: tuple[Shape, ...], output: Shape) -> int:
    """Every weight is used once at each position of the output. Borders count as if they were inside."""
    return math.prod(output[1:-1]) * int(weights["kernel"].size)


def _transposed_macs(_attrs: Attrs, weights: Weights, inputs: tuple[Shape, ...], _output: Shape) -> int:
    """Every weight is used once at each position of the input."""
    return math.prod(inputs[0][1:-1]) * int(weights["kernel"].size)


def _separable_macs(_attrs: Attrs, weights: Weights, _inputs: tuple[Shape, ...], output: Shape) -> int:
    return math.prod(output[1:-1]) * int(weights["depthwise"].size + weights["pointwise"].size)


def _conv_config(weights: Weights) -> dict[str, Any]:
    kernel = weights["kernel"]
    return {"filters": kernel.shape[3], "kernel_size": list(kernel.shape[:2]), "use_bias": "bias" in weights}


def _depthwise_config(weights: Weights) -> dict[str, Any]:
    kernel = weights["kernel"]
    return {"kernel_size": list(kernel.shape[:2]), "depth_multiplier": kernel.shape[3], "use_bias": "bias" in weights}


def _separable_config(weights: Weights) -> dict[str, Any]:
    *size, _, multiplier = weights["depthwise"].shape
    filters = weights["pointwise"].shape[3]
    return {"filters": filters, "kernel_size": size, "depth_multiplier": multiplier, "use_bias": "bias" in weights}


def _dense_config(weights: Weights) -> dict[str, Any]:
    return {"units": weights["kernel"].shape[1], "use_bias": "bias" in weights}


def _kernel_size(config: Mapping[str, Any]) -> tuple[int, int]:
    size = config["kernel_size"]
    height, width = (size, size) if type(size) is int else size
    return height, width


def _bias(config: Mapping[str, Any], channels: int) -> Mapping[str, Shape]:
    return {"bias": (channels,)} if config.get("use_bias", True) else {}


def _conv_sizes(config: Mapping[str, Any], given: Shape) -> Mapping[str, Shape]:
    filters, groups = config["filters"], config.get("groups", 1)
    return {"kernel": (*_kernel_size(config), given[3] // groups, filters), **_bias(config, filters)}


def _depthwise_sizes(config: Mapping[str, Any], given: Shape) -> Mapping[str, Shape]:
    multiplier = config.get("depth_multiplier", 1)
    return {"kernel": (*_kernel_size(config), given[3], multiplier), **_bias(config, given[3] * multiplier)}


def _separable_sizes(config: Mapping[str, Any], given: Shape) -> Mapping[str, Shape]:
    filters, multiplier = config["filters"], config.get("depth_multiplier", 1)
    depthwise, pointwise = (*_kernel_size(config), given[3], multiplier), (1, 1, given[3] * multiplier, filters)
    return {"depthwise": depthwise, "pointwise": pointwise, **_bias(config, filters)}


def _dense_sizes(config: Mapping[str, Any], given: Shape) -> Mapping[str, Shape]:
    return {"kernel": (given[-1], config["units"]), **_bias(config, config["units"])}


_ATTRS: Attrs = {"strides": (1, 1), "padding": "valid", "dilation": (1, 1), "activation": "linear"}
_KEYS = {**own_names("strides", "padding", "activation"), "dilation": "dilation_rate"}
_KERNEL = own_names("kernel", "bias")

OPS: tuple[Op, ...] = (
    Op(
        "conv", _conv_shape, _conv, weights=("kernel",), optional=("bias",), attrs={**_ATTRS, "groups": 1}, macs=_macs,
        layers=(Layer("Conv2D", {**_KEYS, "groups": "groups"}, _KERNEL, _conv_config, _conv_sizes),),
        keeps_zero=True, rescales=True, fuses_relu=True,
    ),
    Op(
        "conv_transpose", _transposed_shape, _transposed, weights=("kernel",), optional=("bias",),
        attrs={**_ATTRS, "output_padding": None}, macs=_transposed_macs,
        layers=(Layer("Conv2DTranspose", {**_KEYS, "output_padding": "output_padding"}, _KERNEL, _conv_config, _conv_sizes,
                      swap=True),),
        keeps_zero=True, rescales=True, fuses_relu=True,
    ),
    Op(
        "depthwise_conv", _depthwise_shape, _depthwise, weights=("kernel",), optional=("bias",), attrs=_ATTRS, macs=_macs,
        layers=(Layer("DepthwiseConv2D", _KEYS, {"kernel": "depthwise_kernel", "bias": "bias"}, _depthwise_config,
                      _depthwise_sizes),),
        keeps_zero=True, rescales=True, fuses_relu=True,
    ),
    Op(  # read as a depthwise and a 1x1 convolution, see `u3p_edge.graph.inference`
        "separable_conv", _separable_shape, _separable, weights=("depthwise", "pointwise"), optional=("bias",), attrs=_ATTRS,
        macs=_separable_macs,
        layers=(Layer("SeparableConv2D", _KEYS,
                      {"depthwise": "depthwise_kernel", "pointwise": "pointwise_kernel", "bias": "bias"},
                      _separable_config, _separable_sizes),),
        keeps_zero=True,
    ),
    Op(
        "dense", _dense_shape, _dense, weights=("kernel",), optional=("bias",), attrs={"activation": "linear"}, macs=_macs,
        layers=(Layer("Dense", own_names("activation"), _KERNEL, _dense_config, _dense_sizes),),
        pixelwise=True, keeps_zero=True, rescales=True, fuses_relu=True,
    ),
)  # fmt: skip
