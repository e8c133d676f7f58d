"""Resize by whole factors. Whatever a file calls its grid, it is accepted if it reads the same pixels as the graph's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.importing.onnx.call import ONNXOperator
from u3p_edge.importing.onnx.content import Array
from u3p_edge.importing.onnx.operators.operator import OperatorReader
from u3p_edge.importing.onnx.tensors import FileTensor

_CLOSE = 1e-4
"""Pixels by which a position may differ from the graph's: what float32 scales lose over 1000 pixels."""


def _resize(call: ONNXOperator) -> FileTensor:
    """Read a Resize (inputs: map, region, scales, sizes)."""
    x = call.tensor()
    factors = {1: 1, 2: 1}
    for axis, (scale, length) in _lengths(call, x).items():
        before, target = x.file_shape[axis], x.graph_axis(axis)
        if length == before and scale == 1:
            continue
        if x.rank != 4 or target not in factors or length % before or abs(scale * before - length) > _CLOSE * length:
            raise ModelError(
                f"it resizes an axis of {before} to {length}, and only height and width can be resized, by whole factors",
                mend="Export the model for a size that all its poolings divide.",
            )
        _check_grid(call, before, length)
        factors[target] = length // before
    if set(factors.values()) == {1}:
        return x
    linear = call.attrs.get("mode", "nearest") == "linear"
    size = (factors[1], factors[2])
    return call.node("upsample", x, attrs={"size": size, "interpolation": "bilinear" if linear else "nearest"})


def _lengths(call: ONNXOperator, x: FileTensor) -> dict[int, tuple[float, int]]:
    """Return the scale and the new length of every axis of the file that the operator speaks of."""
    axes = call.integers("axes") or tuple(range(x.rank))
    axes = tuple(axis % x.rank for axis in axes)
    if call.has(3):
        if call.attrs.get("keep_aspect_ratio_policy", "stretch") != "stretch":
            raise ModelError("it keeps the ratio of the sides", mend="Export it with the policy 'stretch'.")
        lengths = [int(n) for n in call.constant(3).ravel()]
        pairs = [(length / x.file_shape[axis], length) for axis, length in zip(axes, lengths, strict=True)]
    else:
        scales = [float(s) for s in call.constant(2).ravel()]
        pairs = [(s, int(np.floor(x.file_shape[axis] * s + _CLOSE))) for axis, s in zip(axes, scales, strict=True)]
    if any(length < 1 for _, length in pairs):
        raise ValueError("a map cannot be resized to nothing")
    return dict(zip(axes, pairs, strict=True))


def _check_grid(call: ONNXOperator, before: int, length: int) -> None:
    """Refuse a grid that reads other pixels than the graph's `upsample` does along an axis."""
    mode, grid = call.attrs.get("mode", "nearest"), call.attrs.get("coordinate_transformation_mode", "half_pixel")
    index = np.arange(length)
    read = _positions(grid, before, length)
    if mode == "nearest" and read is not None:
        rounding = call.attrs.get("nearest_mode", "round_prefer_floor")
        pixels = np.clip(_round(rounding, read), 0, before - 1)
        if np.array_equal(pixels, index // (length // before)):
            return
    if mode == "linear" and read is not None:
        ours = np.clip((index + 0.5) * before / length - 0.5, 0, before - 1)
        if np.allclose(np.clip(read, 0, before - 1), ours, rtol=0, atol=_CLOSE):
            return
    named = f"{mode}, {grid}" + (f", {call.attrs.get('nearest_mode')}" if "nearest_mode" in call.attrs else "")
    raise ModelError(
        f"it resizes in a mode that a graph has no form for ({named})",
        mend="Train and export it with nearest, or bilinear with half-pixel centres (align_corners=False in PyTorch).",
    )


def _positions(grid: str, before: int, length: int) -> Array | None:
    """Return where each pixel of the result reads, in pixels of the map; None for a grid that is not known."""
    index, scale = np.arange(length, dtype=np.float64), length / before
    if grid == "pytorch_half_pixel" and length == 1:
        return np.zeros(1)
    if grid in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):  # symmetric: the same for whole factors
        return (index + 0.5) / scale - 0.5
    if grid == "align_corners":
        return index * (before - 1) / max(length - 1, 1)
    return index / scale if grid == "asymmetric" else None


def _round(rounding: str, positions: Array) -> Array:
    if rounding == "floor":
        return np.floor(positions).astype(np.int64)
    if rounding == "ceil":
        return np.ceil(positions).astype(np.int64)
    half = np.ceil(positions - 0.5) if rounding == "round_prefer_floor" else np.floor(positions + 0.5)
    return half.astype(np.int64)


OPERATORS: Mapping[str, OperatorReader] = MappingProxyType({"Resize": _resize})
