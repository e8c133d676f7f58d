"""What rounds resolve, on made-up samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from u3p_edge.latency.resolution import STEPS, median_interval, round_resolved

ROUNDS = 25
SEEDS, SLOWED = st.integers(0, 10**6), st.lists(st.floats(1.0, 10.0), min_size=ROUNDS, max_size=ROUNDS)


def noisy(seed: int, ms: float, share: float) -> list[float]:
    """So many milliseconds, each round up to a share more or less."""
    return list(ms * (1 + share * np.random.default_rng(seed).uniform(-1, 1, ROUNDS)))


def test_the_interval_of_a_median_follows_from_the_order() -> None:
    # Of 25 values the 8th to the 18th: as far from the 13th as 1.96 deviations of 2.5 values, rounded outwards.
    assert median_interval(range(25, 0, -1)) == (8, 18)
    assert median_interval([3.0, 1.0, 2.0]) == (1.0, 3.0)


@given(SEEDS, st.floats(0.0, 0.2), SLOWED)
def test_what_cannot_be_told_from_the_first_has_its_time(seed: int, share: float, slowed: list[float]) -> None:
    """Half of the rounds favour one, half the other, by any noise; and whole rounds are slowed by other programs."""
    first = noisy(seed, 1.0, share)
    other = [time * (1.1 if index % 2 else 1 / 1.1) for index, time in enumerate(first)]
    samples = [[time * factor for time, factor in zip(each, slowed, strict=True)] for each in (first, other)]
    one, two = round_resolved(samples)
    assert one == two


@given(SEEDS, SLOWED)
def test_noise_below_the_resolution_changes_no_ratio(seed: int, slowed: list[float]) -> None:
    """About twice as fast, give or take a thousandth: a step of a percent resolves it in every run."""
    samples = [
        [time * factor for time, factor in zip(each, slowed, strict=True)]
        for each in ([1.0] * ROUNDS, noisy(seed, 0.5017, 0.001))
    ]
    one, two = round_resolved(samples)
    # The power of 1.01 next to 0.5017 is 1.01^-69 = 0.50330, its neighbour 0.49832; 0.1 % keeps within half a step of it.
    assert two / one == pytest.approx(1.01**-69)


@given(SEEDS, st.floats(1.5, 100.0), st.floats(0.0, 0.1))
def test_rounding_moves_a_time_by_at_most_half_a_step(seed: int, ms: float, share: float) -> None:
    one, two = round_resolved([[1.0] * ROUNDS, noisy(seed, ms, share)])
    assert one == 1.0
    # The interval is at most as wide as the noise: (1 + share) / (1 - share), at most 1.23, so a step of 0.5 covers it.
    step = next(step for step in STEPS if 1 + step >= (1 + share) / (1 - share))
    assert two / float(np.median(noisy(seed, ms, share))) == pytest.approx(1, rel=(1 + step) ** 0.5 - 1 + 1e-9)
