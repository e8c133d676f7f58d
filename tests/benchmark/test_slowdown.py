"""The gate's decision on latency, from simulated rounds whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.simulated_rounds import draw_rounds
from u3p_edge.benchmark.slowdown import (
    BLOCK,
    FEWEST_BLOCKS,
    PairedRounds,
    check_slowdown,
    describe_slowdown,
    estimate_slowdown,
    judge_slowdown,
)

LIMIT = 1.02


def outcome_of(*rounds: PairedRounds, limit: float = LIMIT) -> tuple[str, str]:
    measurements: Iterator[PairedRounds] = iter(rounds)
    check = check_slowdown(lambda: next(measurements), "model.int8.tflite", 1, limit)
    return check.outcome, check.reason


@pytest.mark.parametrize("spread", [0.005, 0.03])
def test_the_same_file_never_regresses_and_passes(spread: float) -> None:
    outcomes = [outcome_of(*(draw_rounds(2 * n + k, spread=spread) for k in (0, 1)))[0] for n in range(40)]
    # Times of 3 % give ratios of sqrt(2) times that. Of 120 of them a median has an error of 1.25 * 4.2 % / sqrt(120) = 0.5 %
    # at most (the second 120 ratios help a little). A false alarm would be an error of 4 % (2 % and half an interval), twice.
    assert "regressed" not in outcomes
    # The upper bound is beyond 2 % where the error is more than 2 % less half an interval, 1 %: two deviations, 2.3 % of 40.
    assert outcomes.count("passed") >= 36


@pytest.mark.parametrize(("slower", "least"), [(1.05, 38), (1.10, 40)])
def test_a_planted_slow_down_is_found_and_never_passes(slower: float, least: int) -> None:
    # It is missed where the error is beyond 3 % (of 5 %) less half an interval, 1 %: four deviations of 0.5 %, twice.
    outcomes = [outcome_of(*(draw_rounds(2 * n + k, slower=slower) for k in (0, 1)))[0] for n in range(40)]
    assert outcomes.count("regressed") >= least  # the bar is 95 % and 99 %
    assert "passed" not in outcomes


@settings(max_examples=30, deadline=None)  # the machine is shared
@given(seed=st.integers(0, 10**6), slower=st.floats(0.5, 2), unit=st.floats(1e-3, 1e3))
def test_the_decision_depends_on_ratios_alone(seed: int, slower: float, unit: float) -> None:
    rounds = draw_rounds(seed, 24, slower=slower)
    first, again, current = (tuple(unit * ms for ms in one) for one in (rounds.baseline_ms, rounds.again_ms, rounds.current_ms))
    scaled = PairedRounds(first, again, current)
    actual, expected = estimate_slowdown(scaled), estimate_slowdown(rounds)
    # A product of two float64 is off by 2^-53 of itself, and a mean of logarithms by a few times that.
    assert actual.change.estimate == pytest.approx(expected.change.estimate, rel=1e-12)
    assert (actual.change.low, actual.change.high) == pytest.approx((expected.change.low, expected.change.high), rel=1e-12)
    assert actual.change.low <= actual.change.estimate <= actual.change.high


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), slower=st.floats(0.9, 1.2), limit=st.floats(1, 1.2), misplaced=st.floats(0.9, 1.1))
def test_what_passes_or_regresses_lies_on_one_side_of_the_limit(
    seed: int, slower: float, limit: float, misplaced: float
) -> None:
    shown = estimate_slowdown(draw_rounds(seed, 24, slower=slower, misplaced=misplaced))
    outcome = judge_slowdown(shown, limit)
    if shown.change.low <= limit < shown.change.high:
        assert outcome == "inconclusive"
    if outcome == "regressed":
        assert shown.change.estimate > max(limit, shown.same.high, 1 / shown.same.low)


def test_what_drifts_over_the_rounds_cancels_within_a_block() -> None:
    # Times that grow by 1 % from one sample to the next: in the order A, A', B the current file looks 1.5 % slower than the
    # mean of A and A', and in the order back as much faster.
    growth = 1.01 ** np.arange(3)
    forward, backward = np.log(growth), np.log(growth[::-1])
    rounds = np.exp(np.tile([forward, backward], (10, 1)))
    first, again, current = (tuple(map(float, column)) for column in rounds.T)
    shown = estimate_slowdown(PairedRounds(first, again, current))
    assert shown.change.estimate == pytest.approx(1, abs=1e-12)  # rounding, as above
    assert shown.same.estimate == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("misplaced", [0.93, 1.07])
def test_a_file_that_differs_from_itself_decides_nothing_within_that(misplaced: float) -> None:
    outcome, reason = outcome_of(draw_rounds(1, slower=1.03, misplaced=misplaced))
    assert outcome == "inconclusive"
    assert "a quieter machine is needed" in reason
    assert outcome_of(draw_rounds(1, slower=1.0, misplaced=misplaced))[0] == "inconclusive", "neither does it pass"
    assert outcome_of(*(draw_rounds(seed, slower=1.5, misplaced=misplaced) for seed in (1, 2)))[0] == "regressed"


def test_a_slow_down_is_only_reported_if_a_second_measurement_finds_it() -> None:
    slow, same = draw_rounds(1, slower=1.1), draw_rounds(2)
    outcome, reason = outcome_of(slow, same)
    assert outcome == "inconclusive"
    assert "a second round of measurements did not confirm it: x" in reason
    outcome, reason = outcome_of(slow, draw_rounds(3, slower=1.1))
    assert outcome == "regressed"
    assert "found it too: x1." in reason
    # What passes is not measured again: `outcome_of` would have no more rounds to give.
    assert outcome_of(same)[0] == "passed"


def test_few_rounds_decide_nothing_and_say_how_many_do() -> None:
    few = draw_rounds(0, BLOCK * FEWEST_BLOCKS - 1, slower=3.0, spread=0.001)
    outcome, reason = outcome_of(few)
    assert outcome == "inconclusive"
    assert "10 rounds, too few: 12 are needed, so give more --seconds" in reason
    enough = (draw_rounds(seed, BLOCK * FEWEST_BLOCKS, slower=3.0, spread=0.001) for seed in (0, 1))
    assert outcome_of(*enough)[0] == "regressed"


def test_an_interval_around_the_limit_says_how_many_rounds_would_decide() -> None:
    rounds = draw_rounds(1, 20, slower=1.02, spread=0.03)
    late = PairedRounds(rounds.baseline_ms, rounds.again_ms, rounds.current_ms, in_time=False)
    assert "20 rounds do not decide" in describe_slowdown(estimate_slowdown(rounds), LIMIT)
    assert "20 rounds until the time was up do not decide" in describe_slowdown(estimate_slowdown(late), LIMIT)
