"""Successive halving: how many candidates train how long, within which time, and which are left."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.latency_tables import two_scales
from u3p_edge.benchmark.paired import estimate_loss
from u3p_edge.metrics import Scores, mean_over_foreground
from u3p_edge.pipeline.halving import (
    PLANNING,
    SECONDS_TO_START,
    Rung,
    Scored,
    count_planned,
    nominal_seconds,
    plan_rungs,
    rank_candidates,
    schedule_rungs,
)

SECONDS = st.lists(st.floats(0.1, 100), min_size=1, max_size=40)


def spent(rungs: tuple[Rung, ...]) -> int:
    """Epochs of all candidates together."""
    return sum(rung.candidates * rung.epochs for rung in rungs)


# --- rungs


@given(st.integers(1, 500), st.integers(1, 9))
def test_each_rung_keeps_the_better_half_and_trains_it_twice_as_long(candidates: int, epochs: int) -> None:
    rungs = plan_rungs(candidates, epochs)
    assert len(rungs) == math.ceil(math.log2(candidates))
    left = candidates
    for number, rung in enumerate(rungs):
        assert rung == Rung(left, epochs * 2**number)
        left -= left // 2
    assert left == 1


@given(st.integers(1, 500), st.integers(1, 9))
def test_no_rung_costs_twice_as_much_as_the_first(candidates: int, epochs: int) -> None:
    """Halving n candidates k times with rounding up leaves fewer than n / 2^k + 1, and each trains 2^k times as long."""
    rungs = plan_rungs(candidates, epochs)
    assert all(rung.candidates * rung.epochs < (candidates + 2**k) * epochs for k, rung in enumerate(rungs))
    assert spent(rungs) <= 2 * candidates * epochs * len(rungs)


# --- the time limit


@given(SECONDS, st.floats(0, 1e5), st.integers(1, 100))
def test_a_schedule_keeps_to_its_limit_and_wastes_nothing(seconds: list[float], limit: float, most: int) -> None:
    schedule = schedule_rungs(seconds, limit, most)
    assert 1 <= schedule.candidates <= len(seconds)
    assert schedule.rungs == plan_rungs(schedule.candidates, schedule.rungs[0].epochs if schedule.rungs else 1)
    assert schedule.seconds <= limit or not schedule.rungs
    if schedule.candidates < len(seconds):
        more = schedule_rungs(seconds[: schedule.candidates + 1], math.inf, 1)
        assert more.seconds > limit, "one more candidate would not have fitted, however short its training"
    if schedule.rungs and schedule.rungs[-1].epochs > 2 ** (len(schedule.rungs) - 1):
        assert schedule.rungs[-1].epochs <= most


def test_candidates_come_before_epochs_and_the_first_of_the_list_before_the_others() -> None:
    start = SECONDS_TO_START
    # Four candidates, one epoch each, then two for two: 4 starts and 2 more, and 4 + 4 epochs of a second.
    exactly = 6 * start + 8
    assert schedule_rungs([1.0] * 4, exactly, 99).rungs == (Rung(4, 1), Rung(2, 2))
    assert schedule_rungs([1.0] * 4, exactly - 0.5, 99).candidates == 3
    assert schedule_rungs([1.0] * 4, exactly + 8, 99).rungs == (Rung(4, 2), Rung(2, 4))
    assert schedule_rungs([1.0] * 4, 1e9, 9).rungs == (Rung(4, 4), Rung(2, 8)), "the last trains no longer than the winner will"
    assert schedule_rungs([1.0], 0, 9).rungs == ()


def test_a_costly_candidate_counts_as_if_it_won() -> None:
    cheap, dear = schedule_rungs([1.0] * 4, 1e9, 1).seconds, schedule_rungs([1.0, 1.0, 1.0, 9.0], 1e9, 1).seconds
    assert dear - cheap == pytest.approx((9 - 1) + 2 * (9 - 1)), "an epoch in the first rung, two in the second"


def test_planning_takes_a_share_of_the_limit() -> None:
    assert count_planned(30, 10.0, 10 * 8 / PLANNING) == 8
    assert count_planned(3, 10.0, 1e9) == 3
    assert count_planned(3, 10.0, 0.0) == 1


def test_nominal_seconds_follow_from_the_size_of_the_maps_alone() -> None:
    narrow, wide = (two_scales(width) for width in (4, 8))
    assert nominal_seconds(wide, 20) == pytest.approx(2 * nominal_seconds(wide, 10))
    assert nominal_seconds(narrow, 10) < nominal_seconds(wide, 10) < 2 * nominal_seconds(narrow, 10), "the image stays"


# --- the ranking


def scores(*foreground: float) -> Scores:
    """One foreground class; the background's Dice does not count."""
    return np.array([[1.0, dice] for dice in foreground])


def test_what_is_clearly_better_goes_first() -> None:
    worse, better = Scored(scores(0.5, 0.52, 0.49, 0.51), 10), Scored(scores(0.8, 0.83, 0.79, 0.8), 1000)
    assert rank_candidates([worse, better]) == (1, 0)


def test_of_two_that_noise_tells_apart_the_smaller_goes_first() -> None:
    """Better by .01 in one patient and worse by .009 in the other: the mean differs by less than its standard error."""
    large, small = Scored(scores(0.80, 0.81), 1000), Scored(scores(0.809, 0.80), 10)
    assert rank_candidates([large, small]) == (1, 0)
    assert rank_candidates([small, large]) == (0, 1)
    # The same difference of the mean in both patients has no error.
    sure = Scored(scores(0.7995, 0.8095), 10)
    assert rank_candidates([large, sure]) == (0, 1)


def test_equal_candidates_keep_their_order() -> None:
    same = Scored(scores(0.7, 0.8), 5)
    assert rank_candidates([same, same, same]) == (0, 1, 2)


def test_a_network_without_any_foreground_goes_last() -> None:
    empty = np.full((2, 2), np.nan)
    assert rank_candidates([Scored(scores(0.1, 0.2), 9), Scored(scores(0.1, 0.9), 9)])[0] == 1
    assert rank_candidates([Scored(empty, 3), Scored(empty, 2)]) == (1, 0), "nothing is known, so the smaller"


@given(st.lists(st.lists(st.floats(0, 1), min_size=5, max_size=5), min_size=1, max_size=8))
def test_the_first_is_not_shown_to_be_worse_than_any_other(rows: list[list[float]]) -> None:
    scored = [Scored(scores(*row), weights) for weights, row in enumerate(rows)]
    first, *others = rank_candidates(scored)
    assert sorted((first, *others)) == list(range(len(rows)))
    best = max(scored, key=lambda each: float(mean_over_foreground(each.scores)))
    loss = estimate_loss(best.scores, scored[first].scores)
    assert loss is not None
    # It loses at most a standard error, a quarter of the interval's width, so the interval reaches down to 0.
    assert loss.estimate <= (loss.high - loss.low) / 3.9
