"""Dice of each class with its uncertainty over patients."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from u3p_edge.benchmark.accuracy import score
from u3p_edge.benchmark.intervals import dice_intervals

MASKS = hnp.arrays(np.uint8, (6, 3, 4), elements=st.integers(0, 2))
PATIENTS = ("a", "a", "b", "c", "c", "d")


@settings(deadline=None, max_examples=25)  # the machine is shared
@given(MASKS, MASKS)
def test_the_estimate_is_that_of_a_report_and_lies_within_its_bounds(truth: np.ndarray, prediction: np.ndarray) -> None:
    scores = score(truth, prediction, truth, PATIENTS, labels=4)
    for expected, actual in zip(scores.dice, dice_intervals(truth, prediction, PATIENTS, labels=4), strict=True):
        assert (actual is None) == (expected is None)
        if actual is not None:
            assert actual.estimate == expected
            # The bounds are Dice coefficients themselves, and one class's mean of means cannot leave the range of its groups.
            assert 0 <= actual.low <= actual.high <= 1


def test_a_perfect_prediction_is_certain_and_the_same_call_gives_the_same_bounds() -> None:
    rng = np.random.default_rng(0)
    truth, other = rng.integers(0, 3, (2, 6, 8, 8)).astype(np.uint8)
    assert all(one is not None and (one.low, one.high) == (1.0, 1.0) for one in dice_intervals(truth, truth, PATIENTS, 3))
    assert dice_intervals(truth, other, PATIENTS, 3) == dice_intervals(truth, other.copy(), PATIENTS, 3)


def test_the_bounds_are_those_of_two_patients_by_hand() -> None:
    # Dice 1 and 0: half of the resamples take both (0.5), a quarter one of them twice (0 or 1), so the bounds are 0 and 1.
    truth = np.ones((2, 1, 4), np.uint8)
    prediction = truth.copy()
    prediction[1] = 0
    actual = dice_intervals(truth, prediction, ("a", "b"), labels=2)[1]
    assert actual is not None
    assert (actual.estimate, actual.low, actual.high) == (0.5, 0.0, 1.0)


def test_a_class_of_one_patient_alone_has_the_width_that_its_own_resamples_give() -> None:
    truth = np.zeros((5, 1, 4), np.uint8)
    truth[0, 0, :2] = 1
    prediction = truth.copy()
    prediction[0, 0, 0] = 0  # TP 1, FN 1: Dice 2/3 wherever the patient is drawn, and no say where he is not
    actual = dice_intervals(truth, prediction, tuple("abcde"), labels=2)[1]
    assert actual is not None
    assert (actual.estimate, actual.low, actual.high) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
