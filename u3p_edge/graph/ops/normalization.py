"""Normalisations with learned or fixed numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from u3p_edge.graph.ops.op import Array, Attrs, Layer, Op, Shape, SizeRule, Weights, norm_axes, own_names, same_shape


def _along(array: Any, axes: tuple[int, ...], shape: Shape) -> Any:
    """Return a weight of the normalised axes, reshaped so that it broadcasts."""
    return np.reshape(array, [n if i in axes else 1 for i, n in enumerate(shape)])


def _batch_norm(attrs: Attrs, weights: Weights, x: Sequence[Array]) -> Array:
    axes = norm_axes(attrs, x[0].ndim)
    parts = {key: _along(value, axes, x[0].shape) for key, value in weights.items()}
    scale = parts.get("gamma", 1) / np.sqrt(parts["variance"] + np.asarray(attrs["epsilon"], x[0].dtype))
    return np.asarray((x[0] - parts["mean"]) * scale + parts.get("beta", 0))


def _layer_norm(attrs: Attrs, weights: Weights, x: Sequence[Array]) -> Array:
    axes = norm_axes(attrs, x[0].ndim)
    mean = x[0].mean(axis=axes, keepdims=True)
    variance = np.square(x[0] - mean).mean(axis=axes, keepdims=True)
    normal = (x[0] - mean) / np.sqrt(variance + np.asarray(attrs["epsilon"], x[0].dtype))
    parts = {key: _along(value, axes, x[0].shape) for key, value in weights.items()}
    return np.asarray(normal * parts.get("gamma", 1) + parts.get("beta", 0))


def _group_shape(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    channels = inputs[0][-1]
    if norm_axes(attrs, len(inputs[0])) != (len(inputs[0]) - 1,):
        raise ValueError("its groups are not of channels")
    count = group_count(attrs, channels)
    if attrs["groups"] not in (-1, count) or count < 1 or channels % count:
        raise ValueError(f"{channels} channels are not {attrs['groups']} groups of one size")
    return inputs[0]


def group_count(attrs: Attrs, channels: int) -> int:
    """Return the number of groups of a group normalisation; -1 groups are one for each channel."""
    return channels if attrs["groups"] == -1 else int(attrs["groups"])


def _group_norm(attrs: Attrs, weights: Weights, x: Sequence[Array]) -> Array:
    """Normalise each group of channels over the map (Wu and He 2018, arXiv:1803.08494)."""
    batch, *size, channels = x[0].shape
    groups = group_count(attrs, channels)
    parts = x[0].reshape(batch, *size, groups, channels // groups)
    axes = (*range(1, len(size) + 1), len(size) + 2)
    mean = parts.mean(axis=axes, keepdims=True)
    variance = np.square(parts - mean).mean(axis=axes, keepdims=True)
    normal = ((parts - mean) / np.sqrt(variance + np.asarray(attrs["epsilon"], x[0].dtype))).reshape(x[0].shape)
    return np.asarray(normal * weights.get("gamma", 1) + weights.get("beta", 0))


def _standardize(weights: Weights) -> Attrs:
    """Return scale and offset of (x - mean) / deviation, each a number or one for a channel; Keras' least deviation is 1e-7."""
    mean, variance = weights["mean"], weights["variance"]
    if any(size != 1 for size in mean.shape[:-1]):
        raise ValueError("it normalises every pixel by itself")
    scale = 1 / np.maximum(np.sqrt(variance.astype(np.float64)), 1e-7)
    return {"scale": _numbers(scale), "offset": _numbers(-mean * scale)}


def _numbers(array: Array) -> Any:
    return float(array.ravel()[0]) if array.size == 1 else tuple(float(value) for value in array.ravel())


def _statistics_sizes(config: Mapping[str, Any], given: Shape) -> Mapping[str, Shape]:
    if config.get("mean") is not None:
        return {}
    axes = config.get("axis", -1)
    kept = () if axes is None else (axes,) if type(axes) is int else tuple(axes)
    shape = tuple(given[axis] for axis in kept)
    return {"mean": shape, "variance": shape, "count": ()}


def _rescale(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    scale, offset = (np.asarray(attrs[key], x[0].dtype) for key in ("scale", "offset"))
    return np.asarray(x[0] * scale + offset)


def _config(weights: Weights) -> dict[str, Any]:
    return {"scale": "gamma" in weights, "center": "beta" in weights}


def _sizes(*names: str) -> SizeRule:
    def rule(config: Mapping[str, Any], given: Shape) -> Mapping[str, Shape]:
        axes = config.get("axis", -1)
        shape = tuple(given[axis] for axis in ([axes] if type(axes) is int else axes))
        absent = {name for name, key in (("gamma", "scale"), ("beta", "center")) if not config.get(key, True)}
        return {name: shape for name in names if name not in absent}

    return rule


_ATTRS: Attrs = {"axis": (-1,), "epsilon": 1e-3}
_GAMMA_BETA = own_names("gamma", "beta")
_MOVING = {**_GAMMA_BETA, "mean": "moving_mean", "variance": "moving_variance"}


def _rsqrt(_attrs: Attrs, _weights: Weights, inputs: Sequence[Array]) -> Array:
    # Of positive values, as a variance is; what is not counts as the smallest of them, so that every result is a number.
    return np.asarray(1 / np.sqrt(np.maximum(inputs[0], np.finfo(np.float32).tiny)), inputs[0].dtype)


OPS: tuple[Op, ...] = (
    Op(
        "batch_norm", same_shape, _batch_norm, weights=("mean", "variance"), optional=("gamma", "beta"), attrs=_ATTRS,
        layers=(Layer("BatchNormalization", own_names("axis", "epsilon"), _MOVING, _config, _sizes(*_MOVING)),),
    ),
    Op(
        "layer_norm", same_shape, _layer_norm, optional=("gamma", "beta"), attrs=_ATTRS,
        layers=(Layer("LayerNormalization", own_names("axis", "epsilon"), _GAMMA_BETA, _config, _sizes(*_GAMMA_BETA)),),
    ),
    Op(
        "group_norm", _group_shape, _group_norm, optional=("gamma", "beta"), attrs={"groups": 32, "axis": -1, "epsilon": 1e-3},
        layers=(Layer("GroupNormalization", own_names("groups", "axis", "epsilon"), _GAMMA_BETA, _config,
                      _sizes(*_GAMMA_BETA)),),
    ),
    Op(
        "rescale", same_shape, _rescale, attrs={"scale": 1.0, "offset": 0.0}, pixelwise=True,
        layers=(
            Layer("Rescaling", own_names("scale", "offset")),
            Layer("Normalization", {}, own_names("mean", "variance"), sizes=_statistics_sizes, attrs_of=_standardize),
        ),
    ),
    Op(  # a part of layer normalisation, see `u3p_edge.graph.decompose`
        "rsqrt", same_shape, _rsqrt, layers=(Layer("Rsqrt"),), tflite="RSQRT", channelwise=True,
        pixelwise=True,
    ),
)  # fmt: skip
