"""Upsampling by whole factors, and fused sums of upsampled maps (`u3p_edge.rewriting.interpolated_sums`)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from u3p_edge.graph.ops.op import REQUIRED, Array, Attrs, Layer, Op, Shape, Weights, add_all, own_names


def _upsample_shape(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    batch, height, width, channels = inputs[0]
    return (batch, height * attrs["size"][0], width * attrs["size"][1], channels)


def _sum_shape(attrs: Attrs, _weights: Weights, inputs: tuple[Shape, ...]) -> Shape:
    axis, factor, taps, lost = attrs["axis"], attrs["factor"], attrs["taps"], sum(attrs["cut"])
    if axis not in (1, 2) or factor < 2 or taps % 2 == 0 or taps // 2 > (factor + 1) // 2:
        raise ValueError(f"{taps} taps along axis {axis}, upsampled by {factor}, reach beyond the neighbouring places")
    size = list(inputs[0])
    if size[axis + 1] % taps:
        raise ValueError(f"{size[axis + 1]} {('columns', 'channels')[axis - 1]} are not {taps} maps side by side")
    if size[axis] < 2 + (lost == 2):
        raise ValueError(f"{size[axis]} places are too few to interpolate between")
    size[axis + 1] //= taps
    size[axis] = factor * (size[axis] - lost)
    return tuple(size)


def _upsample(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    """Upsample to the nearest value, or bilinearly with half-pixel centres and clamped edges; rows first, then columns."""
    y = x[0]
    for axis, factor in zip((1, 2), attrs["size"], strict=True):
        y = _grow(attrs, y, axis, factor)
    return y


def _interpolated_sum(attrs: Attrs, _weights: Weights, x: Sequence[Array]) -> Array:
    """Compute the interpolated sum out[j] = sum over b of (U V_b)[j + b - k // 2], with zeros beyond the ends.

    U upsamples along the axis of j. The k maps V_b lie side by side along the next axis. Where the map is `cut` at an end, the
    input position at that end is left out of the result: it would read what is not there.

    Axis 1: [N, H, k W, C] to [N, s H, W, C]; axis 2: [N, H, W, k C] to [N, H, s W, C].
    """
    axis, factor, taps = attrs["axis"], attrs["factor"], attrs["taps"]
    maps = [_grow(attrs, part, axis, factor) for part in np.split(x[0], taps, axis=axis + 1)]
    total = add_all([_shift(part, axis, b - taps // 2) for b, part in enumerate(maps)])
    before, behind = (factor * end for end in attrs["cut"])
    return np.take(total, np.arange(before, total.shape[axis] - behind), axis)


def _grow(attrs: Attrs, x: Array, axis: int, factor: int) -> Array:
    return np.repeat(x, factor, axis) if attrs["interpolation"] == "nearest" else _linear(x, axis, factor)


def _shift(x: Array, axis: int, by: int) -> Array:
    """Return a map that has at index j what `x` has at j + by along an axis, with zeros beyond the ends of `x`."""
    pads = [(max(-by, 0), max(by, 0)) if i == axis else (0, 0) for i in range(x.ndim)]
    first = max(by, 0)
    return np.take(np.pad(x, pads), np.arange(first, first + x.shape[axis]), axis)


def _linear(x: Array, axis: int, factor: int) -> Array:
    """Upsample linearly: index i reads at (i + 1/2) / s - 1/2.

    This is computed in whole numbers, so that weights repeat exactly every s indices.
    """
    length = x.shape[axis]
    below, rest = np.divmod(2 * np.arange(length * factor) + 1 - factor, 2 * factor)
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]
    weight = (rest / (2 * factor)).astype(x.dtype).reshape(shape)
    a, b = (np.take(x, np.clip(index, 0, length - 1), axis) for index in (below, below + 1))
    return np.asarray(a + (b - a) * weight)


def _sum_macs(attrs: Attrs, _weights: Weights, _inputs: tuple[Shape, ...], output: Shape) -> int:
    """Each value takes three multiply-accumulates of every tap."""
    return math.prod(output[1:]) * 3 * int(attrs["taps"])


OPS: tuple[Op, ...] = (
    Op(
        "upsample", _upsample_shape, _upsample, attrs={"size": (2, 2), "interpolation": "nearest"},
        layers=(Layer("UpSampling2D", own_names("size", "interpolation")),),
        channelwise=True, keeps_range=True, keeps_zero=True, keeps_scale=True, cheap=True,
    ),
    Op(
        "interpolated_sum", _sum_shape, _interpolated_sum, macs=_sum_macs,
        attrs={"axis": REQUIRED, "factor": 2, "taps": 3, "interpolation": "bilinear", "cut": (False, False)},
        keeps_zero=True, rescales=True, fuses_relu=True, cheap=True,
    ),
)  # fmt: skip
