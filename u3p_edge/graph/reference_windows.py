"""Ops that read neighbours, in NumPy: convolutions, poolings, interpolation. See `reference` for the order of summation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.ir import Node
from u3p_edge.graph.reference_functions import apply_function

Array = npt.NDArray[Any]


def conv(node: Node, x: Sequence[Array]) -> Array:
    """Compute a convolution, grouped or not: [N, H, W, C] to [N, H', W', O]."""
    kernel, groups = node.weights["kernel"], node.attrs["groups"]
    each, filters = kernel.shape[2], kernel.shape[3] // groups
    parts = [
        _sum_of_taps(node, x[0][..., g * each : (g + 1) * each], kernel[..., g * filters : (g + 1) * filters])
        for g in range(groups)
    ]
    return _finished(node, np.concatenate(parts, axis=-1))


def depthwise_conv(node: Node, x: Sequence[Array]) -> Array:
    """Convolve each channel by itself: [N, H, W, C] to [N, H', W', C * multiplier], the multiplier running fastest."""
    kernel = node.weights["kernel"]
    parts = [_sum_of_taps(node, x[0][..., c : c + 1], kernel[:, :, c : c + 1]) for c in range(kernel.shape[2])]
    return _finished(node, np.concatenate(parts, axis=-1))


def conv_transpose(node: Node, x: Sequence[Array]) -> Array:
    """Compute the adjoint of a strided convolution: every input pixel adds its kernel into the output."""
    kernel, strides, dilation = node.weights["kernel"], node.attrs["strides"], node.attrs["dilation"]
    spans = [(kernel.shape[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    size = [_grown(node, x[0].shape[1 + i], spans[i], i) for i in (0, 1)]
    before = [_cut_before(node, x[0].shape[1 + i], spans[i], i) for i in (0, 1)]
    whole = [max((x[0].shape[1 + i] - 1) * strides[i] + spans[i], before[i] + size[i]) for i in (0, 1)]
    total = np.zeros((x[0].shape[0], *whole, kernel.shape[3]), x[0].dtype)
    for a, b in np.ndindex(*kernel.shape[:2]):
        rows, columns = (
            slice(k * dilation[i], k * dilation[i] + (x[0].shape[1 + i] - 1) * strides[i] + 1, strides[i])
            for i, k in ((0, a), (1, b))
        )
        for channel in range(kernel.shape[2]):
            total[:, rows, columns] += x[0][..., channel, None] * kernel[a, b, channel]
    kept = total[:, before[0] : before[0] + size[0], before[1] : before[1] + size[1]]
    return _finished(node, kept)


def pool(node: Node, x: Sequence[Array]) -> Array:
    """Compute the maximum or average over windows; an average counts only the pixels inside the map."""
    size = node.attrs["pool_size"]
    if node.op == "max_pool":
        padded = _padded(node, x[0], size, -np.inf)
        return np.asarray(np.maximum.reduce([patch for _, patch in _patches(node, padded, size)]))
    inside = _padded(node, np.ones((1, *x[0].shape[1:3], 1), x[0].dtype), size, 0)
    padded = _padded(node, x[0], size, 0)
    total, count = (_added([patch for _, patch in _patches(node, a, size)]) for a in (padded, inside))
    return np.asarray(total / count)


def upsample(node: Node, x: Sequence[Array]) -> Array:
    """Upsample to the nearest value, or bilinearly with half-pixel centres and clamped edges; rows first, then columns."""
    y = x[0]
    for axis, factor in zip((1, 2), node.attrs["size"], strict=True):
        y = _grown_along(node, y, axis, factor)
    return y


def _grown_along(node: Node, x: Array, axis: int, factor: int) -> Array:
    return np.repeat(x, factor, axis) if node.attrs["interpolation"] == "nearest" else _linear(x, axis, factor)


def interpolated_sum(node: Node, x: Sequence[Array]) -> Array:
    """Compute the interpolated sum out[j] = sum over b of (U V_b)[j + b - k // 2], with zeros beyond the ends.

    U upsamples along the axis of j. The k maps V_b lie side by side along the next axis. Where the map is `cut` at an end, the
    input position at that end is left out of the result: it would read what is not there.

    Axis 1: [N, H, k W, C] to [N, s H, W, C]; axis 2: [N, H, W, k C] to [N, H, s W, C].
    """
    axis, factor, taps = node.attrs["axis"], node.attrs["factor"], node.attrs["taps"]
    maps = [_grown_along(node, part, axis, factor) for part in np.split(x[0], taps, axis=axis + 1)]
    total = _added([_moved(part, axis, b - taps // 2) for b, part in enumerate(maps)])
    before, behind = (factor * end for end in node.attrs["cut"])
    return np.take(total, np.arange(before, total.shape[axis] - behind), axis)


def _moved(x: Array, axis: int, by: int) -> Array:
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
    a, b = (np.take(x, np.clip(places, 0, length - 1), axis) for places in (below, below + 1))
    return np.asarray(a + (b - a) * weight)


def _sum_of_taps(node: Node, x: Array, kernel: Array) -> Array:
    total: Array | None = None
    for (a, b), patch in _patches(node, _padded(node, x, kernel.shape[:2], 0), kernel.shape[:2]):
        for channel in range(kernel.shape[2]):
            product = patch[..., channel, None] * kernel[a, b, channel]
            total = product if total is None else total + product
    assert total is not None, "a kernel has taps"
    return total


def _finished(node: Node, x: Array) -> Array:
    return apply_function(node.attrs["activation"], x + node.weights.get("bias", np.zeros((), x.dtype)))


def _added(patches: Sequence[Array]) -> Array:
    total = patches[0]
    for patch in patches[1:]:
        total = total + patch
    return total


def _steps(node: Node) -> tuple[Sequence[int], Sequence[int]]:
    return node.attrs["strides"], node.attrs.get("dilation", (1, 1))


def _padded(node: Node, x: Array, size: Sequence[int], value: float) -> Array:
    """Return the map with the border that `same` adds; an odd remainder goes below and to the right."""
    if node.attrs["padding"] != "same":
        return x
    strides, dilation = _steps(node)
    pads = [(0, 0)]
    for i in (0, 1):
        length, span = x.shape[1 + i], (size[i] - 1) * dilation[i] + 1
        total = max((-(-length // strides[i]) - 1) * strides[i] + span - length, 0)
        pads.append((total // 2, total - total // 2))
    return np.pad(x, (*pads, (0, 0)), constant_values=value)


def _patches(node: Node, x: Array, size: Sequence[int]) -> Iterator[tuple[tuple[int, int], Array]]:
    """Yield, for each position in the window, what all windows see there: [N, H', W', C]."""
    strides, dilation = _steps(node)
    counts = [(x.shape[1 + i] - (size[i] - 1) * dilation[i] - 1) // strides[i] + 1 for i in (0, 1)]
    for a, b in np.ndindex(*size):
        rows, columns = (
            slice(k * dilation[i], k * dilation[i] + (counts[i] - 1) * strides[i] + 1, strides[i]) for i, k in ((0, a), (1, b))
        )
        yield (a, b), x[:, rows, columns]


def _grown(node: Node, length: int, span: int, axis: int) -> int:
    """Return the length of a transposed convolution's output, as `graph.ops` counts it."""
    stride, extra = node.attrs["strides"][axis], node.attrs["output_padding"]
    if extra is not None:
        pad = span // 2 if node.attrs["padding"] == "same" else 0
        return int((length - 1) * stride + span - 2 * pad + extra[axis])
    return int(length * stride + (max(span - stride, 0) if node.attrs["padding"] == "valid" else 0))


def _cut_before(node: Node, length: int, span: int, axis: int) -> int:
    """Return how much of the full result `same` cuts off at the start: half of the excess, the smaller half if it is odd."""
    if node.attrs["padding"] == "valid":
        return 0
    full = (length - 1) * int(node.attrs["strides"][axis]) + span
    return max(full - _grown(node, length, span, axis), 0) // 2
