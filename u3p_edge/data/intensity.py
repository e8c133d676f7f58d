"""Normalise intensities: measure them once on the whole image, then normalise any part of any channel.

Images of 8 and 16 bits are measured by counting their values and normalised by a table, in which the arithmetic is done once
for each value instead of once for each pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import DataError

Pixels = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
PlaneMap = Callable[[Pixels, int], Image.Image]
"""`plane_map(pixels, k)` gives the normalised values of pixels [h, w] of channel k as a picture of mode F (float32)."""

CHUNK = 1 << 20
"""Pixels that are widened to float64 at a time."""


def plane_map(image: Pixels, preprocessing: Preprocessing) -> PlaneMap:
    """Return the function that normalises any part of `image` as `preprocessing` says.

    Args:
        image: [H, W, C] of uint8, uint16 or float; every pixel is measured, none is copied.
        preprocessing: its normalisation. All channels share what is measured on the image; "meanstd" has one mean and one
            std for each.

    Raises:
        DataError: pixels that are not finite, "range" of floats outside 0..1, or "meanstd" that leaves the range of float32.
    """
    if image.dtype.kind == "f" and not (math.isfinite(float(image.min())) and math.isfinite(float(image.max()))):
        raise DataError("the image has pixels that are not numbers (NaN or infinite)", mend="Replace them, for example by 0.")
    if preprocessing.normalization == "none":
        return lambda pixels, _channel: Image.fromarray(pixels.astype(np.float32))
    maps = tuple(_scaling(image, offset, scale, limits) for offset, scale, limits in _coefficients(image, preprocessing))
    return lambda pixels, channel: maps[channel % len(maps)](pixels)


def percentiles(image: Pixels, shares: Sequence[float]) -> tuple[float, ...]:
    """Compute percentiles of an image's values, equal to `np.percentile(image.astype(float64), shares)`, without sorting it.

    Args:
        image: of any shape, uint8, uint16 or float32.
        shares: in percent, 0..100.

    >>> percentiles(np.arange(101, dtype=np.uint8), (1, 50, 99))
    (1.0, 50.0, 99.0)
    """
    positions = [share / 100 * (image.size - 1) for share in shares]
    ranks = sorted({rank for position in positions for rank in _neighbours(position, image.size)})
    values = dict(zip(ranks, _order_statistics(image, ranks), strict=True))
    below, above = ([values[_neighbours(p, image.size)[end]] for p in positions] for end in (0, 1))
    return tuple(_interpolate(a, b, p - math.floor(p)) for a, b, p in zip(below, above, positions, strict=True))


def histogram(image: Pixels) -> Counts:
    """Count how often each value occurs in an image of uint8 or uint16, of any shape: int64 [256] or [65536]."""
    counts = np.zeros(1 << 8 * image.dtype.itemsize, np.int64)
    for part in row_parts(image):
        # Pillow counts an 8-bit picture ten times as fast as np.bincount, which widens every pixel first.
        eight = image.dtype == np.uint8
        flat = part.reshape(len(part), -1)
        counts += Image.fromarray(flat).histogram() if eight else np.bincount(flat.ravel(), minlength=len(counts))
    return counts


def row_parts(image: Pixels) -> Iterator[Pixels]:
    """Return the image in parts of whole rows with about `CHUNK` values each."""
    return (image[rows] for rows in row_slices(image))


def row_slices(image: Pixels) -> Iterator[slice]:
    """Return which rows are in each part of `row_parts`."""
    step = max(1, CHUNK // max(1, image[0].size))
    return (slice(start, start + step) for start in range(0, len(image), step))


def _neighbours(position: float, count: int) -> tuple[int, int]:
    below = math.floor(position)
    return below, min(below + 1, count - 1)


def _interpolate(low: float, high: float, share: float) -> float:
    # From the nearer end, as NumPy does, so that the result is the same to the last bit.
    return high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share


def _order_statistics(image: Pixels, ranks: Sequence[int]) -> list[float]:
    """Return the values of those ranks (0 is the smallest)."""
    if image.dtype.kind == "u":
        return [float(v) for v in np.searchsorted(np.cumsum(histogram(image)), ranks, side="right")]
    return [float(v) for v in np.partition(image, ranks, axis=None)[list(ranks)]]


def _coefficients(image: Pixels, preprocessing: Preprocessing) -> list[tuple[float, float, tuple[float, float] | None]]:
    """Return (offset, scale, limits) of (pixel - offset) / scale after clipping: one for all channels, or one for each."""
    kind = preprocessing.normalization
    if kind == "meanstd":
        _check_range(image, preprocessing)
        return [(mean, std, None) for mean, std in zip(preprocessing.mean, preprocessing.std, strict=True)]
    if kind == "zscore":
        return [(*_mean_and_deviation(image), None)]
    if kind == "range":
        return [(0.0, _full_range(image), None)]
    low, high = percentiles(image, (preprocessing.low, preprocessing.high))
    if low == high:  # nearly all pixels are equal: what differs must not be clipped away
        low, high = float(image.min()), float(image.max())
    return [(low, high - low, (low, high))]


def _scaling(image: Pixels, offset: float, scale: float, limits: tuple[float, float] | None) -> Callable[[Pixels], Image.Image]:
    # A spread lost in rounding (a constant image, or nearly) would only blow up rounding errors.
    if scale <= np.finfo(np.float32).tiny + 1e-12 * abs(offset):
        return lambda pixels: Image.new("F", pixels.shape[::-1])

    def scaled(pixels: Pixels) -> Floats:
        values = pixels.astype(np.float64)
        if limits is not None:
            np.clip(values, *limits, out=values)
        values -= offset
        values /= scale
        return values.astype(np.float32)

    levels = 1 << 8 * image.dtype.itemsize
    if image.dtype.kind != "u" or image.size < levels:
        return lambda pixels: Image.fromarray(scaled(pixels))
    table = scaled(np.arange(levels))
    if image.dtype == np.uint8:
        listed = table.tolist()
        # Pillow looks values up several times as fast as NumPy, which widens every index.
        return lambda pixels: Image.fromarray(np.ascontiguousarray(pixels)).point(listed, "F")
    return lambda pixels: Image.fromarray(table[pixels])


def _mean_and_deviation(image: Pixels) -> tuple[float, float]:
    """Return mean and standard deviation of all values, computed in float64."""
    if image.dtype.kind == "u":
        counts = histogram(image)
        values = np.arange(len(counts), dtype=np.float64)
        mean = float((counts * values).sum()) / image.size
        return mean, math.sqrt(float((counts * (values - mean) ** 2).sum()) / image.size)
    mean = math.fsum(float(part.sum(dtype=np.float64)) for part in row_parts(image)) / image.size
    squares = (float(((part.astype(np.float64) - mean) ** 2).sum()) for part in row_parts(image))
    return mean, math.sqrt(math.fsum(squares) / image.size)


def _full_range(image: Pixels) -> float:
    if image.dtype.kind == "u":
        return float(np.iinfo(image.dtype).max)
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 1:
        raise DataError(
            f"an image of {image.dtype} values {low:g} to {high:g} has no range to normalise by",
            mend='Use normalization "percentile" or "zscore", or 8 or 16 bit images.',
        )
    return 1.0


def _check_range(image: Pixels, preprocessing: Preprocessing) -> None:
    """Raise DataError where (pixel - mean) / std is too large for float32."""
    ends = float(image.min()), float(image.max())
    largest = float(np.finfo(np.float32).max)
    for mean, std in zip(preprocessing.mean, preprocessing.std, strict=True):
        # Compared without dividing, which could overflow float64 as well.
        if any(abs(end - mean) > largest * std for end in ends):
            raise DataError(
                f"mean {mean} and std {std} take pixels out of the range of float32", mend="Give them in raw pixel values."
            )
