"""Dice of each class, and its mean, with the uncertainty over patients, by a bootstrap over the groups (Efron 1979)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from u3p_edge import metrics
from u3p_edge.benchmark.accuracy import dice_by_group
from u3p_edge.benchmark.loss_check import FEWEST_GROUPS, count_scored
from u3p_edge.benchmark.result import Accuracy
from u3p_edge.benchmark.statistics import Interval, draw_resamples, percentile_interval

Labels = npt.NDArray[np.uint8]


def dice_intervals(
    truth: Labels, prediction: Labels, groups: Sequence[str], labels: int, multi_label: bool = False
) -> tuple[Interval | None, ...]:
    """Return Dice (0..1) of each class with its 95 % interval, background first; None for a class that is in no mask.

    The estimate is that of `u3p_edge.benchmark.accuracy.score`: pixels are pooled over the images of a group (a patient), then
    scores are averaged over the groups that have the class. Groups are resampled with replacement; a resample without the
    class is left out. The same input always gives the same intervals. One group gives an interval of no width, which says
    nothing.

    Args:
        truth, prediction: labels uint8 [N, H, W].
        groups: the group name of each image.
        labels: number of classes, background included.
        multi_label: classes may overlap.

    Raises:
        ValueError: the shapes differ, or a label has a value beyond the classes.

    >>> truth = np.zeros((2, 1, 4), np.uint8)
    >>> truth[:, 0, :2] = 1
    >>> wrong = truth.copy()
    >>> wrong[1] = 0
    >>> dice_intervals(truth, wrong, ("a", "b"), 3)[1:]
    (Interval(estimate=0.5, low=0.0, high=1.0), None)
    """
    scores = dice_by_group(truth, prediction, groups, labels, multi_label)
    draws = np.concatenate([metrics.mean_over_groups(scores[drawn]) for drawn in draw_resamples(len(scores), seed=0)])
    return tuple(
        None if math.isnan(estimate) else percentile_interval(float(estimate), column)
        for estimate, column in zip(metrics.mean_over_groups(scores), draws.T, strict=True)
    )


def mean_dice_interval(accuracy: Accuracy) -> Interval | None:
    """Return the mean foreground Dice (0..1) of a file with its 95 % interval, by a bootstrap over the groups.

    Groups are resampled with replacement; scores are averaged over the groups that have a class, then over the classes.

    Returns:
        None where no group has a foreground class, and for fewer than `FEWEST_GROUPS` groups, whose interval is too narrow;
        so also for a result of a version that kept no Dice by group.
    """
    scores = accuracy.group_scores
    if accuracy.mean_dice is None or count_scored(scores) < FEWEST_GROUPS:
        return None
    return percentile_interval(accuracy.mean_dice, resample_mean(scores))


def resample_mean(scores: metrics.Scores) -> metrics.Scores:
    """Return the mean over the foreground classes of each bootstrap resample of the groups.

    Args:
        scores: float64 [G, labels], NaN for a class that a group does not have.

    Returns:
        float64 [draws], NaN where no drawn group has a foreground class.
    """
    return np.concatenate([metrics.mean_over_foreground(scores[drawn]) for drawn in draw_resamples(len(scores), seed=0)])
