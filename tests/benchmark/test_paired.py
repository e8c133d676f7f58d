"""The difference of two networks' Dice, with its uncertainty over patients."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from u3p_edge.benchmark.accuracy import dice_by_group, score
from u3p_edge.benchmark.paired import estimate_loss
from u3p_edge.benchmark.statistics import Interval


def _case(patients: int, spoilt: float) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 3, (3 * patients, 16, 16)).astype(np.uint8)
    worse = np.where(rng.random(truth.shape) < spoilt, 0, truth).astype(np.uint8)
    return truth, worse, tuple(f"p{i // 3}" for i in range(len(truth)))


def _loss(truth: np.ndarray, reference: np.ndarray, prediction: np.ndarray, groups: Sequence[str]) -> Interval:
    loss = estimate_loss(*(dice_by_group(truth, p, groups, labels=3) for p in (reference, prediction)))
    assert loss is not None
    return loss


def test_the_difference_is_that_of_the_scores_of_a_report() -> None:
    truth, worse, groups = _case(6, 0.2)
    better = np.where(np.random.default_rng(2).random(truth.shape) < 0.05, 0, truth).astype(np.uint8)
    actual = _loss(truth, better, worse, groups)
    first, second = (score(truth, p, p, groups, 3) for p in (better, worse))
    assert first.mean_dice is not None
    assert second.mean_dice is not None
    # Sums of some thousand pixels in float64: off by less than 1e-12 of 100 points.
    assert actual.estimate == pytest.approx(100 * (first.mean_dice - second.mean_dice), abs=1e-9)
    assert actual.low < actual.estimate < actual.high
    assert second.loss_against(first) == actual, "a result keeps all that the interval is made of"


def test_the_same_prediction_loses_nothing_for_sure() -> None:
    truth, worse, groups = _case(4, 0.3)
    assert _loss(truth, worse, worse.copy(), groups) == Interval(0.0, 0.0, 0.0)


def test_a_gain_is_negative() -> None:
    truth, worse, groups = _case(4, 0.3)
    assert _loss(truth, worse, truth, groups).high < 0


def test_more_patients_narrow_the_interval() -> None:
    def width(patients: int) -> float:
        truth, _, groups = _case(patients, 0.2)
        spoilt = np.repeat(np.linspace(0, 0.5, patients), 3)[:, None, None]  # from a patient without fault to a hard one
        worse = np.where(np.random.default_rng(3).random(truth.shape) < spoilt, 0, truth).astype(np.uint8)
        actual = _loss(truth, truth, worse, groups)
        return actual.high - actual.low

    assert width(40) < width(5)


def test_a_class_that_some_patients_lack_counts_where_it_is() -> None:
    truth = np.zeros((2, 8, 8), np.uint8)
    truth[0, :4] = 1
    truth[1, :4] = 2
    wrong = truth.copy()
    wrong[1] = 0
    actual = _loss(truth, truth, wrong, ("a", "b"))
    assert actual.estimate == pytest.approx(50.0)  # class 2 is lost in the only patient that has it, class 1 is whole


def test_images_without_any_foreground_have_no_loss() -> None:
    empty = dice_by_group(np.zeros((3, 4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8), ("a", "b", "c"), labels=3)
    assert estimate_loss(empty, empty) is None


def test_scores_of_other_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="same groups"):
        estimate_loss(np.ones((3, 2)), np.ones((4, 2)))


def test_a_result_without_dice_by_group_has_no_interval() -> None:
    truth, worse, groups = _case(4, 0.3)
    new, old = score(truth, worse, worse, groups, 3), dataclasses.replace(score(truth, truth, truth, groups, 3), group_dice=())
    assert new.loss_against(old) is old.loss_against(new) is old.loss_against(old) is None
