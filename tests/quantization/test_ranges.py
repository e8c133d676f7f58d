"""The range of a map: the extremes where nothing lies far out, and clipped where an outlier costs the rest its steps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from u3p_edge.quantization.ranges import BINS, METHODS, Observed, clip_outliers, least_error_range, observe, percentile_range


def squared_error(values: np.ndarray, low: float, high: float) -> float:
    """Sum of the squared errors of int8 with that range."""
    step = (high - low) / 255
    zero = round(-128 - low / step)
    integers = np.clip(np.round(values / step) + zero, -128, 127)
    return float((((integers - zero) * step - values) ** 2).sum())


def error_of_extremes(values: np.ndarray) -> float:
    return squared_error(values, min(values.min(), 0.0), max(values.max(), 0.0))


def test_an_even_spread_keeps_its_extremes() -> None:
    values = np.linspace(0, 1, 10_000, dtype=np.float32)
    assert least_error_range(observe(values)) == (0.0, 1.0)


@pytest.mark.parametrize("outlier", [16.0, -16.0])
def test_one_outlier_does_not_take_the_steps_of_the_rest(outlier: float) -> None:
    """A million values in 0..1 and one 16 times further out. Kept, it costs the others a step 16 times wider:
    10^6 * (16 / 255)^2 / 12 = 328. Clipped at 5 it costs 11^2 = 121, and the others 10^6 * (5 / 255)^2 / 12 = 32."""
    values = np.append(np.random.default_rng(0).random(1_000_000, np.float32), np.float32(outlier))
    low, high = least_error_range(observe(values))
    assert squared_error(values, low, high) < 0.6 * error_of_extremes(values)


@pytest.mark.parametrize("outlier", [16.0, -16.0, 1e5])
def test_the_percentile_leaves_out_what_is_rare_however_far_out_it_lies(outlier: float) -> None:
    """50 of a million values, half of what may be left out. The bulk ends at 1, in a bin an eighth of an octave wide."""
    values = np.random.default_rng(0).random(1_000_000, np.float32)
    values[:50] = outlier
    low, high = percentile_range(observe(values), 1e-4)
    assert 0.99 <= high <= 1.07
    assert low == 0


def test_what_many_values_reach_is_no_outlier() -> None:
    """One in a hundred lies at 16: clipping to 1 would cost 225 each, rounding with the wide step (16 / 255)^2 / 12 = 3e-4."""
    values = np.random.default_rng(0).random(100_000, np.float32)
    values[::100] = 16
    assert least_error_range(observe(values)) == (0.0, 16.0)


@settings(max_examples=60, deadline=None)
@given(arrays(np.float32, st.integers(1, 400), elements=st.floats(-1e6, 1e6, width=32)))
def test_every_range_holds_zero_and_lies_within_the_extremes(values: np.ndarray) -> None:
    seen = observe(values)
    for low, high in (choose(seen) for choose in METHODS.values()):
        assert seen.low <= low <= 0 <= high <= seen.high
    assert seen.counts.sum() == values.size


def test_a_map_that_is_zero_everywhere_has_an_empty_range() -> None:
    for choose in METHODS.values():
        assert choose(observe(np.zeros((2, 3), np.float32))) == (0.0, 0.0)
        assert choose(Observed(0.0, 0.0, np.zeros(BINS, np.int64))) == (0.0, 0.0)


def test_images_are_clipped_where_that_halves_their_range_alone() -> None:
    images = np.random.default_rng(0).random((4, 64, 64, 1), np.float32)
    assert clip_outliers(images) is images
    spoilt = images.copy()
    spoilt[1, 5, 5] = -16  # one of 16384 pixels, 6e-5
    clipped = clip_outliers(spoilt)
    # The largest pixel left, and the width of its bin.
    assert -1.1 * np.delete(spoilt.ravel(), spoilt.argmin()).max() <= clipped.min() <= 0
    assert (clipped[spoilt >= 0] == spoilt[spoilt >= 0]).all()
