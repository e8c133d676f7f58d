"""Poolings: the maximum or the average over windows, or over the whole map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from u3p_edge.graph.ops.op import Array, Attrs, Compute, Layer, Op, Shape, Weights, add_all, own_names
from u3p_edge.graph.ops.windows import pad_border, patches, window_sizes


def _pool_shape(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    return (inputs[0][0], *window_sizes(attrs, inputs[0], attrs["pool_size"]), inputs[0][3])


def _global_shape(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, _, _, channels = inputs[0]
    return (batch, 1, 1, channels) if attrs["keepdims"] else (batch, channels)


def _max(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    padded = pad_border(attrs, x[0], attrs["pool_size"], -np.inf)
    return np.asarray(np.maximum.reduce([patch for _, patch in patches(attrs, padded, attrs["pool_size"])]))


def _average(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    """Average over windows; only the pixels inside the map count."""
    size = attrs["pool_size"]
    maps = (x[0], np.ones((1, *x[0].shape[1:3], 1), x[0].dtype))
    total, count = (add_all([patch for _, patch in patches(attrs, pad_border(attrs, a, size, 0), size)]) for a in maps)
    return np.asarray(total / count)


def _global(function: Callable[..., Any]) -> Compute:
    return lambda attrs, _weights, x: np.asarray(function(x[0], axis=(1, 2), keepdims=attrs["keepdims"]))


_WINDOW: Attrs = {"pool_size": (2, 2), "strides": (2, 2), "padding": "valid"}
_WHOLE: Attrs = {"keepdims": False}

OPS: tuple[Op, ...] = (
    Op(
        "max_pool", _pool_shape, _max, attrs=_WINDOW, layers=(Layer("MaxPooling2D", own_names(*_WINDOW)),),
        channelwise=True, keeps_range=True, keeps_zero=True, keeps_scale=True, fuses_relu=True,
    ),
    Op(
        "average_pool", _pool_shape, _average, attrs=_WINDOW, layers=(Layer("AveragePooling2D", own_names(*_WINDOW)),),
        channelwise=True, keeps_range=True, keeps_zero=True, keeps_scale=True, fuses_relu=True,
    ),
    Op(
        "global_max_pool", _global_shape, _global(np.max), attrs=_WHOLE,
        layers=(Layer("GlobalMaxPooling2D", own_names(*_WHOLE)),),
        channelwise=True, keeps_range=True, keeps_zero=True, keeps_scale=True,
    ),
    Op(
        "global_average_pool", _global_shape, _global(np.mean), attrs=_WHOLE,
        layers=(Layer("GlobalAveragePooling2D", own_names(*_WHOLE)),), channelwise=True, keeps_range=True, keeps_zero=True,
    ),
)  # fmt: skip
