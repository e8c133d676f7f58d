"""What an interval of the loss shows, at its bounds, and what too few patients never show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from u3p_edge.benchmark.loss_check import FEWEST_GROUPS, LossCheck, LossVerdict, check_loss, explain_mend, judge_loss
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.config.plain import from_dict

AT_MOST: LossVerdict = "shown to lose at most D"
NOT: LossVerdict = "not shown"
MORE: LossVerdict = "shown to lose more"
ORDER = (MORE, NOT, AT_MOST)
POINTS = st.floats(-100, 100)
LOSSES = st.tuples(POINTS, POINTS, POINTS).map(sorted).map(lambda v: Interval(v[1], v[0], v[2]))


@pytest.mark.parametrize(
    ("allowed", "verdict"),
    [(0.5, AT_MOST), (0.4, AT_MOST), (np.nextafter(0.4, 0), NOT), (0.1, NOT), (np.nextafter(0.1, 0), MORE), (0.0, MORE)],
)
def test_the_bounds_of_the_interval_decide(allowed: float, verdict: LossVerdict) -> None:
    assert judge_loss(Interval(0.2, 0.1, 0.4), 20, allowed) == verdict


@given(LOSSES, st.integers(0, 50), POINTS, POINTS)
def test_a_larger_allowance_never_makes_the_verdict_worse(loss: Interval, groups: int, one: float, other: float) -> None:
    less, more = (ORDER.index(judge_loss(loss, groups, allowed)) for allowed in sorted((one, other)))
    assert less <= more


@given(LOSSES, st.integers(0, FEWEST_GROUPS - 1), POINTS)
def test_too_few_groups_show_nothing(loss: Interval, groups: int, allowed: float) -> None:
    assert judge_loss(loss, groups, allowed) == NOT


def test_the_fewest_groups_are_those_of_the_sign_test() -> None:
    # All groups on one side of the limit: by chance in one of 2^n cases, which must be below the 2.5 % beyond each bound.
    assert 2.0**-FEWEST_GROUPS < 0.025 < 2.0 ** -(FEWEST_GROUPS - 1)


def scores(*dice: float) -> np.ndarray:
    """Dice of a background and one class, a row a patient."""
    return np.array([(1.0, value) for value in dice])


def test_equal_networks_are_shown_to_lose_nothing_where_there_are_patients_enough() -> None:
    same = scores(*np.linspace(0.4, 0.9, FEWEST_GROUPS))
    assert check_loss(same, same, allowed=0, images=12) == LossCheck(AT_MOST, 0, Interval(0, 0, 0), FEWEST_GROUPS, 12)
    one = scores(0.9)
    assert check_loss(one, one, allowed=100, images=12).verdict == NOT


def test_patients_without_a_foreground_class_do_not_count() -> None:
    value = scores(*[0.9] * FEWEST_GROUPS, *[np.nan] * 20)
    fewer = value.copy()
    fewer[0, 1] = np.nan
    assert (check_loss(value, value, 1, 9).groups, check_loss(value, value, 1, 9).verdict) == (FEWEST_GROUPS, AT_MOST)
    assert (check_loss(fewer, fewer, 1, 9).groups, check_loss(fewer, fewer, 1, 9).verdict) == (FEWEST_GROUPS - 1, NOT)
    nobody = scores(*[np.nan] * 20)
    assert check_loss(nobody, nobody, 1, 20) == LossCheck(NOT, 1, None, 0, 20)


def test_a_loss_of_every_patient_is_shown_to_be_more() -> None:
    before = scores(*np.linspace(0.7, 0.9, 10))
    check = check_loss(before, before - [0, 0.02], allowed=0.5, images=10)
    assert (check.verdict, check.loss and round(check.loss.low, 6)) == (MORE, 2)


def test_a_check_is_read_as_it_was_written() -> None:
    for check in (LossCheck(NOT, 0.5, Interval(0.1, -0.2, 0.6), 7, 20), LossCheck(NOT, 0.5, None, 0, 20)):
        assert from_dict(LossCheck, dataclasses.asdict(check)) == check


@pytest.mark.parametrize(
    ("loss", "groups", "words"),
    [
        (Interval(0.1, -0.3, 0.9), 20, "(20 now, about 80 would do if the loss stays the same)"),  # twice as narrow: 4 x 20
        (Interval(0.5, 0.1, 0.9), 20, "(20 now);"),  # at the limit itself no number would do
        (Interval(0.7, 0.1, 0.9), 20, "larger --max-drop"),
        (Interval(0.1, 0.0, 0.2), 1, "has 1 group (patients) with a foreground class, and fewer than 6 show nothing"),
        (None, 0, "has 0 groups"),
    ],
)
def test_what_would_help_is_said_of_each_reason(loss: Interval | None, groups: int, words: str) -> None:
    assert words in explain_mend(LossCheck(NOT, 0.5, loss, groups, 40))
