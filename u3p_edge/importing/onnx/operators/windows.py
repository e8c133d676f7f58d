"""Operators that slide a window over a map: convolutions, of all groups, and poolings.

The graph pads a window as TensorFlow does: not at all, or `same`. Every other border is a node of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.importing.onnx.call import ONNXOperator
from u3p_edge.importing.onnx.content import Array
from u3p_edge.importing.onnx.operators.operator import OperatorReader
from u3p_edge.importing.onnx.tensors import LARGEST_KERNEL, FileTensor

Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """How a window slides over a map; each pair is for height and width.

    Args:
        spans: pixels from its first to its last, dilation included.
        strides: pixels from one window to the next.
        before, after: pixels of border above and left, below and right.
    """

    spans: Pair
    strides: Pair
    before: Pair
    after: Pair

    def counts(self, size: Pair) -> Pair:
        """Return the number of windows along each axis of a map of `size`."""
        first, second = (
            (n + before + after - span) // stride + 1
            for n, span, stride, before, after in zip(size, self.spans, self.strides, self.before, self.after, strict=True)
        )
        return first, second

    @property
    def padding(self) -> tuple[Pair, Pair]:
        """The border as the graph's op `pad` takes it."""
        return (self.before[0], self.after[0]), (self.before[1], self.after[1])


def read_window(call: ONNXOperator, size: Pair, kernel: Pair, dilation: Pair) -> Window:
    """Return the window of an operator on a map of `size`, its automatic border worked out.

    Raises:
        ValueError: a border or step that cannot be.
    """
    strides = call.pair("strides")
    first, second = ((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    window = Window((first, second), strides, (0, 0), (0, 0))
    kind = call.attrs.get("auto_pad", "NOTSET")
    if kind in ("SAME_UPPER", "SAME_LOWER"):
        less, more = same_border(size, window)
        return replace(window, before=less if kind == "SAME_UPPER" else more, after=more if kind == "SAME_UPPER" else less)
    top, left, bottom, right = (kind == "NOTSET" and call.integers("pads")) or (0, 0, 0, 0)
    if min(top, left, bottom, right) < 0:
        raise ValueError("a border cannot be negative")
    return replace(window, before=(top, left), after=(bottom, right))


def same_border(size: Pair, window: Window) -> tuple[Pair, Pair]:
    """Return the border that TensorFlow's `same` adds to a map before and after it; the odd pixel is below and right."""
    totals = [
        max((-(-n // stride) - 1) * stride + span - n, 0)
        for n, span, stride in zip(size, window.spans, window.strides, strict=True)
    ]
    return (totals[0] // 2, totals[1] // 2), (totals[0] - totals[0] // 2, totals[1] - totals[1] // 2)


def _size(x: FileTensor) -> Pair:
    return x.shape[1], x.shape[2]


def _border(call: ONNXOperator, x: FileTensor, window: Window) -> tuple[FileTensor, str]:
    """Return the map, padded with zeros where the graph's own padding does not do it, and that padding."""
    if window.padding == ((0, 0), (0, 0)):
        return x, "valid"
    if (window.before, window.after) == same_border(_size(x), window):
        return x, "same"
    return _pad(call, x, window), "valid"


def _pad(call: ONNXOperator, x: FileTensor, window: Window) -> FileTensor:
    """Return the map with the window's border, of zeros."""
    if window.padding == ((0, 0), (0, 0)):
        return x
    return call.node("pad", x, attrs={"padding": window.padding}, part="pad")


def _convolution(call: ONNXOperator) -> FileTensor:
    """Read a Conv. Its kernel [O, I / groups, h, w] becomes [h, w, I / groups, O], or [h, w, I, O / I] if depthwise."""
    x, kernel = call.image(), call.weight(1, 4).transpose(2, 3, 1, 0)
    groups, dilation = int(call.attrs.get("group", 1)), call.pair("dilations")
    window = read_window(call, _size(x), (kernel.shape[0], kernel.shape[1]), dilation)
    if max(dilation) > 1 and max(window.strides) > 1:  # which Keras has not
        kernel, dilation = _dilate(kernel, dilation), (1, 1)
    weights = {"kernel": kernel, **({"bias": call.weight(2, 1)} if call.has(2) else {})}
    channels = x.shape[3]
    if groups < 1 or kernel.shape[2] * groups != channels or kernel.shape[3] % groups:
        raise ValueError(f"{groups} groups of {kernel.shape[2]} channels do not fit a map of {channels}")
    depthwise = {**weights, "kernel": kernel.reshape(*kernel.shape[:2], channels, -1)}
    if groups == channels > 1 and window.strides[0] != window.strides[1]:  # which TensorFlow has not
        every = call.node(
            "depthwise_conv", _pad(call, x, window), attrs={"dilation": dilation}, weights=depthwise, part="every"
        )
        return _subsample(call, every, window.strides)
    x, padding = _border(call, x, window)
    attrs = {"dilation": dilation, "strides": window.strides, "padding": padding}
    if groups == channels > 1:
        return call.node("depthwise_conv", x, attrs=attrs, weights=depthwise)
    return call.node("conv", x, attrs={**attrs, "groups": groups}, weights=weights)


def _dilate(kernel: Array, dilation: Pair) -> Array:
    """Return a kernel of HWIO with zeros between its taps."""
    rows, columns = ((n - 1) * d + 1 for n, d in zip(kernel.shape[:2], dilation, strict=True))
    if rows * columns * kernel.shape[2] * kernel.shape[3] > LARGEST_KERNEL:
        raise ModelError(f"its dilated kernel of {rows}x{columns} is too large")
    dilated = np.zeros((rows, columns, *kernel.shape[2:]), kernel.dtype)
    dilated[:: dilation[0], :: dilation[1]] = kernel
    return dilated


def _subsample(call: ONNXOperator, x: FileTensor, strides: Pair) -> FileTensor:
    """Return every so many-th pixel of a map."""
    return call.node("max_pool", x, attrs={"pool_size": (1, 1), "strides": strides})


def _pool(call: ONNXOperator) -> FileTensor:
    """Read a MaxPool or an AveragePool.

    A border around a maximum counts as minus infinity, and around an average it counts only with `count_include_pad`. Where
    the graph has no such border, the pooling is computed at every pixel with `same`, and the windows' results are picked.
    """
    x, size = call.image(), call.pair("kernel_shape")
    if call.pair("dilations") != (1, 1) or call.attrs.get("storage_order"):
        raise ModelError("its windows are dilated, or it stores columns first", mend="Export the model without that.")
    op = "max_pool" if call.op == "MaxPool" else "average_pool"
    window = read_window(call, _size(x), size, (1, 1))
    counted = op == "average_pool" and bool(call.attrs.get("count_include_pad"))
    if call.attrs.get("ceil_mode"):
        longer = _round_up(window, _size(x))
        if counted and longer != window:
            raise ModelError("it rounds its size up and counts the border", mend="Export it with ceil_mode=False.")
        window = longer
    zeros_do = counted or (op == "max_pool" and x.nonnegative)
    attrs = {"pool_size": size, "strides": window.strides}
    if window.padding == ((0, 0), (0, 0)):
        return call.node(op, x, attrs=attrs)
    if not counted and (window.before, window.after) == same_border(_size(x), window):
        return call.node(op, x, attrs={**attrs, "padding": "same"})
    if zeros_do:
        return call.node(op, _pad(call, x, window), attrs=attrs)
    return _pick_windows(call, x, window, op)


def _round_up(window: Window, size: Pair) -> Window:
    """Return a window with the border below and right that one more window needs, where that begins inside the map."""
    after = list[int]()
    for axis in (0, 1):
        n, stride, before = size[axis], window.strides[axis], window.before[axis]
        whole = n + before + window.after[axis] - window.spans[axis]
        last = -(-whole // stride) * stride  # position of the last window, from the start of the border
        if last >= n + before:
            last -= stride
        after.append(max(window.after[axis], last + window.spans[axis] - n - before))
    return replace(window, after=(after[0], after[1]))


def _pick_windows(call: ONNXOperator, x: FileTensor, window: Window, op: str) -> FileTensor:
    attrs = {"pool_size": window.spans, "strides": (1, 1), "padding": "same"}
    every = call.node(op, x, attrs=attrs, part="every")
    cropping = []
    for axis, count in enumerate(window.counts(_size(x))):
        # `same` puts the window that begins (k - 1) // 2 pixels before a pixel at that pixel.
        first = (window.spans[axis] - 1) // 2 - window.before[axis]
        last = first + (count - 1) * window.strides[axis]
        if first < 0 or last >= x.shape[1 + axis]:
            raise ModelError("its border is wider than half its window", mend="Export it with a border of at most half.")
        beyond = x.shape[1 + axis] - 1 - last
        cropping.append((first, beyond if beyond >= window.strides[axis] else 0))
    kept = every if not np.any(cropping) else call.node("crop", every, attrs={"cropping": tuple(cropping)}, part="crop")
    return _subsample(call, kept, window.strides)


OPERATORS: Mapping[str, OperatorReader] = MappingProxyType({"Conv": _convolution, "MaxPool": _pool, "AveragePool": _pool})
