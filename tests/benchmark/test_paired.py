"""The difference of two networks' Dice, with its uncertainty over patients."""

from __future__ import annotations

import numpy as np
import pytest

from u3p_edge.benchmark.accuracy import score
from u3p_edge.benchmark.paired import estimate_loss


def _case(patients: int, spoilt: float) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, (3 * patients, 16, 16)).astype(np.uint8)
    worse = np.where(rng.random(truth.shape) < spoilt, 0, truth).astype(np.uint8)
    return truth, worse, tuple(f"p{i // 3}" for i in range(len(truth)))


def test_the_difference_is_that_of_the_scores_of_a_report() -> None:
    truth, worse, groups = _case(6, 0.2)
    better = np.where(np.random.default_rng(2).random(truth.shape) < 0.05, 0, truth).astype(np.uint8)
    actual = estimate_loss(truth, better, worse, groups, 3)
    first, second = (score(truth, p, p, groups, 3).mean_dice for p in (better, worse))
    assert first is not None
    assert second is not None
    # Sums of some thousand pixels in float64: off by less than 1e-12 of 100 points.
    assert actual.estimate == pytest.approx(100 * (first - second), abs=1e-9)
    assert actual.low < actual.estimate < actual.high


def test_the_same_prediction_loses_nothing_for_sure() -> None:
    truth, worse, groups = _case(4, 0.3)
    assert estimate_loss(truth, worse, worse, groups, 3) == estimate_loss(truth, worse, worse.copy(), groups, 3)
    assert (estimate_loss(truth, worse, worse, groups, 3).low, estimate_loss(truth, worse, worse, groups, 3).high) == (0.0, 0.0)


def test_a_gain_is_negative() -> None:
    truth, worse, groups = _case(4, 0.3)
    assert estimate_loss(truth, worse, truth, groups, 3).high < 0


def test_more_patients_narrow_the_interval() -> None:
    def width(patients: int) -> float:
        truth, _, groups = _case(patients, 0.2)
        spoilt = np.repeat(np.linspace(0, 0.5, patients), 3)[:, None, None]  # from a patient without fault to a hard one
        worse = np.where(np.random.default_rng(3).random(truth.shape) < spoilt, 0, truth).astype(np.uint8)
        actual = estimate_loss(truth, truth, worse, groups, 3)
        return actual.high - actual.low

    assert width(40) < width(5)


def test_a_class_that_some_patients_lack_counts_where_it_is() -> None:
    truth = np.zeros((2, 8, 8), np.uint8)
    truth[0, :4] = 1
    truth[1, :4] = 2
    wrong = truth.copy()
    wrong[1] = 0
    actual = estimate_loss(truth, truth, wrong, ("a", "b"), 3)
    assert actual.estimate == pytest.approx(50.0)  # class 2 is lost in the only patient that has it, class 1 is whole
