"""The arithmetic that convolutions and poolings share: the length of their outputs, their borders, what their windows see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from u3p_edge.graph.ops.op import Array, Attrs, Shape


def window_sizes(attrs: Attrs, shape: Shape, kernel: Sequence[int]) -> tuple[int, int]:
    """Return height and width of the output of windows that slide over a map [N, H, W, C]; raise ValueError if none fits."""
    strides, padding, dilation = attrs["strides"], attrs["padding"], attrs.get("dilation", (1, 1))
    height, width = (_window(shape[1 + i], kernel[i], strides[i], padding, dilation[i]) for i in (0, 1))
    return height, width


def _window(size: int, kernel: int, stride: int, padding: str, dilation: int) -> int:
    span = (kernel - 1) * dilation + 1
    length = -(-size // stride) if padding == "same" else (size - span) // stride + 1
    if length < 1:
        raise ValueError(f"a window of {span} does not fit into {size}")
    return length


def pad_border(attrs: Attrs, x: Array, size: Sequence[int], value: float) -> Array:
    """Return the map with the border that `same` adds; an odd remainder goes below and to the right."""
    if attrs["padding"] != "same":
        return x
    strides, dilation = _steps(attrs)
    pads = [(0, 0)]
    for i in (0, 1):
        length, span = x.shape[1 + i], (size[i] - 1) * dilation[i] + 1
        total = max((-(-length // strides[i]) - 1) * strides[i] + span - length, 0)
        pads.append((total // 2, total - total // 2))
    return np.pad(x, (*pads, (0, 0)), constant_values=value)


def patches(attrs: Attrs, x: Array, size: Sequence[int]) -> Iterator[tuple[tuple[int, int], Array]]:
    """Yield, for each position in the window, what all windows see there: [N, H', W', C]."""
    strides, dilation = _steps(attrs)
    counts = [(x.shape[1 + i] - (size[i] - 1) * dilation[i] - 1) // strides[i] + 1 for i in (0, 1)]
    for a, b in np.ndindex(*size):
        rows, columns = (
            slice(k * dilation[i], k * dilation[i] + (counts[i] - 1) * strides[i] + 1, strides[i]) for i, k in ((0, a), (1, b))
        )
        yield (a, b), x[:, rows, columns]


def _steps(attrs: Attrs) -> tuple[Sequence[int], Sequence[int]]:
    return attrs["strides"], attrs.get("dilation", (1, 1))
