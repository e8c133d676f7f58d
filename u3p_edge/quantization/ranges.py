"""Choose the range of an int8 activation: from its smallest to its largest value, or clipped where that costs less error.

One far outlier widens the step of all other values. Clipping it costs the square of its distance to the bound, and gives
everything else a finer step. Both costs follow from a histogram, so the cheapest range is found by trying bounds:

    error(low, high) = sum over values v of  (v - high)^2 above high,  (low - v)^2 below low,
                                             min(v^2, step^2 / 12) for rounding,  step = (high - low) / 255

Rounding to the nearest step has the mean squared error step^2 / 12. An integer always represents zero exactly, so a value that
is closer to zero than to any other integer loses no more than itself. This module needs NumPy alone, no TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

SHIFT = 20
"""A right shift by this gives a value's bin: the upper 12 bits of a float32, which are sign, exponent and three bits of
mantissa. So there are eight bins an octave."""

BINS = 1 << (32 - SHIFT)

INPUT_TAIL = 1e-4
"""Share of the pixels of all images, on each side, that may be outliers."""

SHARES = 2.0 ** (-np.arange(97) / 8)
"""The bounds that are tried, as shares of an extreme value: down to a 4096th."""

STEPS = 255
"""Steps between the lowest and the highest int8 value."""

Floats = npt.NDArray[np.float64]
Range = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Observed:
    """Extremes and histogram of the values of one tensor over all calibration images.

    Args:
        low, high: the smallest and the largest value, zero included: low <= 0 <= high.
        counts: int64 [BINS], how many values lie in each bin.
    """

    low: float
    high: float
    counts: npt.NDArray[np.int64]


def observe(values: npt.NDArray[np.float32]) -> Observed:
    """Return the extremes and the histogram of finite values of any shape."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32).ravel() >> np.uint32(SHIFT)
    counts = np.bincount(bits.astype(np.int64), minlength=BINS)
    return Observed(min(float(values.min()), 0.0), max(float(values.max()), 0.0), counts)


def extremes_range(observed: Observed) -> Range:
    """Return the range from the smallest to the largest value."""
    return observed.low, observed.high


def percentile_range(observed: Observed, tail: float) -> Range:
    """Return the range beyond which at most the share `tail` of the values lies on each side, to within the width of a bin.

    It does not matter how far out those values lie. The squared error of a single extreme value can outweigh the rounding of
    all others, but its effect on what the network computes need not.
    """
    values, counts = _occupied(observed)
    return -_percentile(-values, counts, tail, -observed.low), _percentile(values, counts, tail, observed.high)


def least_error_range(observed: Observed) -> Range:
    """Return the range with the least expected squared error; these are the extremes where no clipping costs less.

    Both bounds are tried in steps of an eighth of an octave below the extremes. Zero lies inside.
    """
    values, counts = _occupied(observed)
    highs, lows = observed.high * SHARES, -observed.low * SHARES
    spans = highs[:, np.newaxis] + lows[np.newaxis, :]
    clipped = _clipping(values, counts, highs)[:, np.newaxis] + _clipping(-values, counts, lows)[np.newaxis, :]
    error = clipped + _rounding(values, counts, spans / STEPS)
    i, j = np.unravel_index(int(error.argmin()), error.shape)
    return -float(lows[j]), float(highs[i])


def clip_outliers(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Clip pixels that lie far outside the others: beyond the share `INPUT_TAIL` on each side, if that halves the range.

    Otherwise the images are returned as given. An int8 input clips such pixels too, so the maps behind it never see what the
    pixels do to a float network.
    """
    observed = observe(images)
    low, high = percentile_range(observed, INPUT_TAIL)
    return np.clip(images, low, high) if 2 * (high - low) < observed.high - observed.low else images


METHODS: Mapping[str, Callable[[Observed], Range]] = MappingProxyType(
    {
        "extremes": extremes_range,
        "percentile 99.99": partial(percentile_range, tail=1e-4),
        "percentile 99.9": partial(percentile_range, tail=1e-3),
        "least squared error": least_error_range,
    }
)
"""The ways of choosing a range from the values of a map, by name."""


def _occupied(observed: Observed) -> tuple[Floats, Floats]:
    """Return the middle of every bin that has values, clipped to the extremes, and how many values the bin has."""
    occupied = np.flatnonzero(observed.counts)
    middles = ((occupied.astype(np.uint32) << np.uint32(SHIFT)) + np.uint32(1 << (SHIFT - 1))).view(np.float32)
    finite = np.isfinite(middles)
    values = np.clip(middles[finite].astype(np.float64), observed.low, observed.high)
    return values, observed.counts[occupied[finite]].astype(np.float64)


def _percentile(values: Floats, counts: Floats, tail: float, extreme: float) -> float:
    order = np.argsort(-values)
    beyond = np.cumsum(counts[order])
    first = order[np.searchsorted(beyond, tail * beyond[-1], side="right")] if len(order) else 0
    # Half the width of a bin is at most 1 / 16 of its values, so no value of the bin itself is clipped.
    return float(np.clip(values[first] * (1 + 1 / 16), 0.0, extreme)) if len(order) else extreme


def _clipping(values: Floats, counts: Floats, bounds: Floats) -> Floats:
    """Return the squared error of clipping to each upper bound."""
    beyond = np.maximum(values[np.newaxis, :] - bounds[:, np.newaxis], 0.0)
    error: Floats = beyond**2 @ counts
    return error


def _rounding(values: Floats, counts: Floats, steps: Floats) -> Floats:
    """Return the sum over the values of min(v^2, step^2 / 12), in the shape of `steps`."""
    order = np.argsort(np.abs(values))
    sizes, numbers = np.abs(values)[order], counts[order]
    squares = np.concatenate([[0.0], np.cumsum(sizes**2 * numbers)])
    before = np.concatenate([[0.0], np.cumsum(numbers)])
    smaller = np.searchsorted(sizes, steps / np.sqrt(12))
    rounded: Floats = squares[smaller] + (before[-1] - before[smaller]) * steps**2 / 12
    return rounded
