"""A layout pass for single operators that need smaller address tables with a batch or channels in place of rows or columns.

The results are the same. XNNPACK keeps a table of addresses for every output pixel of an operator: 8 bytes for each tap of a
convolution, 36 for an interpolation. At 320x320 that is 7.4 MB for a 3x3 convolution, whatever its number of channels. But it
keeps the table once for all images of a batch and once for all channels, so these layouts need less:

    lines   rows are upsampled alike in every column: columns become channels,
            [1, H, W, C] ─ RESHAPE ─► [1, H, 1, WC] ─ RESIZE ─► [1, H', 1, WC] ─ RESHAPE ─► [1, H', W, C]
    rows    columns are upsampled alike in every row, and a 1xk convolution treats every row alike: rows become images of a
            batch, see `layout_rows`,
            [1, H, W, C] ─ RESHAPE ─► [H, 1, W, C] ─ operator ─► [H, 1, W', F] ─ RESHAPE ─► [1, H, W', F]
    bands   a kxk convolution is computed on B bands of rows, each with the (k - 1) / 2 rows beyond it on either side: bands
            become images of a batch,
            [1, H, W, C] ─ PAD, B x STRIDED_SLICE, CONCATENATION ─► [B, H / B + k - 1, W, C] ─ CONV_2D ─►
            [B, H / B + k - 1, W, F] ─ STRIDED_SLICE, RESHAPE ─► [1, H, W, F]

They cost copies, and bands compute a few rows twice. Only a TFLite file has these layouts; networks and ONNX files have none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from u3p_edge.conversion.tflite.pieces import SAME, Call, integers, joined
from u3p_edge.conversion.tflite.schema import Tensor
from u3p_edge.graph.ops import Shape

TABLE_FROM = 65_536
"""Bytes of the table from which a line, or rows as images, are worth two copies."""

BAND_ROWS = 40
"""The least number of rows in a band of a 3x3 convolution, so that at most 5 % are computed twice."""

RESIZES = ("RESIZE_BILINEAR",)
"""The interpolations that XNNPACK runs."""

_INTERPOLATION = 36
ADDRESS = 8


def apply_layout(call: Call, source: Tensor) -> tuple[Call, ...]:
    """Return calls that compute the same as `call` with smaller address tables; `call` alone where there is nothing to gain.

    Args:
        call: an operator; its first input is the map `source`.
        source: of any shape.
    """
    kernel = _kernel(call)
    if kernel is None or any(len(tensor.shape) != 4 or tensor.shape[0] != 1 for tensor in (source, call.output)):
        return (call,)
    if call.code in RESIZES and _is_line(source.shape, call.output.shape):
        return tuple(_as_line(call, source))
    count = 1 if call.code in RESIZES else _bands(call.output.shape, kernel)
    return tuple(_in_bands(call, source, kernel[0] - 1, count)) if count > 1 else (call,)


def treats_rows_alike(call: Call, source: Tensor) -> bool:
    """Whether an operator computes each row of its output from the same row of its input alone."""
    kernel = _kernel(call)
    return kernel is not None and kernel[0] == 1 and source.shape[1] == call.output.shape[1]


def gains_by_rows(call: Call, source: Tensor) -> bool:
    """Whether an operator saves enough with rows as images to be worth two copies."""
    if not treats_rows_alike(call, source):
        return False
    _, columns = _kernel(call) or (1, 1)
    each = _INTERPOLATION if call.code in RESIZES else ADDRESS * columns
    return (call.code in RESIZES or columns > 1) and math.prod(call.output.shape[:3]) * each >= TABLE_FROM


def reshape_to(source: str, out: Tensor) -> Call:
    """Return a RESHAPE to `out`'s shape: the same values in the same order."""
    shape = integers(f"{out.name}/shape", *out.shape)
    return Call("RESHAPE", (source, shape), out, {"newShape": np.asarray(out.shape, np.int32)})


def crop(source: str, out: Tensor, top: int, left: int, channel: int = 0) -> Call:
    """Return the call that cuts `out`'s rows, columns and channels out of a map, starting at (top, left, channel)."""
    starts = (0, top, left, channel)
    end = tuple(start + size for start, size in zip(starts, out.shape, strict=True))
    span = integers(f"{out.name}/begin", *starts), integers(f"{out.name}/end", *end), integers("steps", 1, 1, 1, 1)
    return Call("STRIDED_SLICE", (source, *span), out)


def _kernel(call: Call) -> tuple[int, int] | None:
    """Return how many rows and columns an operator reads for a pixel of a map that keeps its size or grows.

    None for other operators.
    """
    if call.code in RESIZES:
        return 1, 1
    keys = ("strideH", "strideW", "dilationHFactor", "dilationWFactor")
    if call.code != "CONV_2D" or any(call.options[key] != 1 for key in keys):
        return None
    weights = call.inputs[1]
    assert isinstance(weights, Tensor), "a convolution's kernel is constant"
    kernel = (weights.shape[1], weights.shape[2])
    return kernel if kernel[0] == 1 or (kernel[0] % 2 and call.options["padding"] == SAME) else None


def _is_line(before: Shape, after: Shape) -> bool:
    """Whether a map is upsampled along its rows alone, with a table large enough to be worth it."""
    _, rows, columns, _ = after
    return rows != before[1] and columns == before[2] > 1 and rows * columns * _INTERPOLATION >= TABLE_FROM


def _as_line(call: Call, source: Tensor) -> Iterator[Call]:
    name, (_, rows, columns, channels) = call.output.name, call.output.shape
    line = replace(source, name=f"{name}/line", shape=(1, source.shape[1], 1, columns * channels))
    grown = replace(call.output, name=f"{name}/grown", shape=(1, rows, 1, columns * channels))
    yield reshape_to(source.name, line)
    yield replace(call, inputs=(line.name, integers(f"{name}/line_size", rows, 1)), output=grown)
    yield reshape_to(grown.name, call.output)


def _bands(shape: Shape, kernel: tuple[int, int]) -> int:
    """Return the number of bands in which a map is computed; 1 means as a whole."""
    _, height, width, _ = shape
    if kernel[0] == 1 or ADDRESS * kernel[0] * kernel[1] * height * width < TABLE_FROM:
        return 1
    most = 2 * height // (BAND_ROWS * (kernel[0] - 1))
    return next((count for count in range(most, 1, -1) if height % count == 0), 1)


def _in_bands(call: Call, source: Tensor, beyond: int, count: int) -> Iterator[Call]:
    name, (_, height, width, channels) = call.output.name, source.shape
    rows = height // count
    padded = replace(source, name=f"{name}/padded", shape=(1, height + beyond, width, channels))
    paddings = integers(f"{name}/paddings", (0, 0), (beyond // 2, beyond // 2), (0, 0), (0, 0))
    yield Call("PAD", (source.name, paddings), padded)
    bands = [replace(source, name=f"{name}/band{i}", shape=(1, rows + beyond, width, channels)) for i in range(count)]
    for i, band in enumerate(bands):
        yield crop(padded.name, band, i * rows, 0)
    batch = replace(source, name=f"{name}/bands", shape=(count, rows + beyond, width, channels))
    yield from joined([(band.name, band.shape) for band in bands], batch, 0)
    filters = call.output.shape[3]
    wide = replace(call.output, name=f"{name}/wide", shape=(count, rows + beyond, width, filters))
    yield replace(call, inputs=(batch.name, *call.inputs[1:]), output=wide)
    narrow = replace(call.output, name=f"{name}/narrow", shape=(count, rows, width, filters))
    yield crop(wide.name, narrow, beyond // 2, 0)
    yield reshape_to(narrow.name, call.output)
