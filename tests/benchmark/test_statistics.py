"""Medians and their bootstrap intervals."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from u3p_edge.benchmark import statistics
from u3p_edge.benchmark.statistics import (
    RESAMPLES,
    Interval,
    draw_resamples,
    quartiles,
    ratio,
    ratio_of_medians,
    samples_to_decide,
)

TIMES = st.lists(st.floats(0.1, 1e4), min_size=5, max_size=30)


def test_quartiles_by_hand() -> None:
    assert quartiles([1, 2, 3, 4, 100]) == Interval(3, 2, 4)


@settings(max_examples=30, deadline=None)  # the machine is shared
@given(TIMES, TIMES, st.floats(0.01, 100))
def test_a_ratio_of_medians_needs_no_common_rounds(samples: list[float], reference: list[float], factor: float) -> None:
    actual = ratio_of_medians(samples, reference)
    assert actual.estimate == pytest.approx(np.median(samples) / np.median(reference))
    assert actual.low <= actual.estimate <= actual.high
    scaled = ratio_of_medians([factor * t for t in samples], reference)
    assert (scaled.estimate, scaled.low, scaled.high) == pytest.approx(
        [factor * x for x in (actual.estimate, actual.low, actual.high)]
    )


@settings(max_examples=30, deadline=None)  # the machine is shared
@given(TIMES, st.floats(0.01, 100))
def test_a_slow_round_slows_all_and_leaves_the_ratio(reference: list[float], factor: float) -> None:
    # However the rounds themselves vary, an artifact that always takes `factor` times as long has that ratio exactly.
    actual = ratio([factor * t for t in reference], reference)
    assert (actual.estimate, actual.low, actual.high) == pytest.approx((factor, factor, factor))


@settings(max_examples=30, deadline=None)  # the machine is shared
@given(TIMES, st.integers(0, 2**32 - 1))
def test_the_interval_holds_the_median(reference: list[float], seed: int) -> None:
    samples = np.random.default_rng(seed).uniform(0.5, 2, len(reference)) * reference
    actual = ratio(list(samples), reference)
    assert actual.low <= actual.estimate <= actual.high
    assert actual == ratio(list(samples), reference), "the same samples must always give the same interval"


def test_the_interval_is_as_wide_as_it_says() -> None:
    # 200 experiments whose true median ratio is 0.5: a 95 % interval should hold it in about 190 of them. A bootstrap of
    # a median from 20 samples is known to be slightly off, so anything from 88 % on passes; a wrong tail would not.
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        reference = rng.lognormal(3, 0.3, 20)
        samples = 0.5 * reference * rng.lognormal(0, 0.05, 20)
        actual = ratio(list(samples), list(reference))
        hits += actual.low <= 0.5 <= actual.high
    assert hits / 200 >= 0.88


@pytest.mark.parametrize("count", [7, 1000])
def test_draws_in_parts_are_the_draws_of_one_piece(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "CHUNK", 3 * count + 1)
    parts = list(draw_resamples(count, seed=5))
    assert max(len(part) for part in parts) == 3
    whole = np.random.default_rng(5).integers(0, count, size=(RESAMPLES, count))
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_a_bootstrap_of_many_samples_takes_little_memory() -> None:
    samples = np.random.default_rng(0).lognormal(0, 0.1, 20_000)
    tracemalloc.start()
    try:
        ratio(list(samples), list(samples[::-1]))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A part of 2^20 draws has as many int64 indices and float64 values, and np.median copies the values once: 24 MiB; the
    # samples themselves are 0.5 MiB, four times over. All draws at once would take 2000 * 20,000 * 8 bytes = 320 MB and more.
    assert peak < 40 * 2**20


def test_unpaired_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="3 samples cannot be paired with 2"):
        ratio([1, 2, 3], [1, 2])


def test_the_rounds_that_would_decide_narrow_the_interval_to_the_limit() -> None:
    # The upper bound lies 0.2 above the median and must come down to 0.1 above it: half the width, four times the rounds.
    assert samples_to_decide(15, Interval(1.0, 0.9, 1.2), 1.1) == 60
    assert samples_to_decide(15, Interval(1.2, 1.0, 1.3), 1.1) == 60
    assert samples_to_decide(15, Interval(1.1, 1.0, 1.2), 1.1) is None


def test_uncertainty_is_the_farther_bounds_share() -> None:
    assert Interval(2.0, 1.5, 2.1).uncertainty == 0.25
    assert Interval(2.0, 1.9, 2.5).uncertainty == 0.25
