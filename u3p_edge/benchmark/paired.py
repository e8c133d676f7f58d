"""Paired comparison of two networks on the same images: the difference of mean Dice, with a bootstrap over the groups.

Patients (or images, if every image is a group) are resampled with replacement, and both networks' scores of a drawn patient
are taken together (Efron 1979). So what is hard for both networks cancels.
"""

from __future__ import annotations

import math

import numpy as np

from u3p_edge.benchmark.statistics import Interval, draw_resamples, percentile_interval
from u3p_edge.metrics import Scores, mean_over_foreground


def estimate_loss(reference: Scores, scores: Scores) -> Interval | None:
    """Return how many points of mean foreground Dice a network loses against the reference; negative if it gains.

    Scores are averaged over the groups that have the class, then over the foreground classes.

    Args:
        reference, scores: Dice of each group and class, float64 [G, labels], of `accuracy.dice_by_group`; the same groups in
            the same order.

    Returns:
        The loss with its 95 % interval. None if no group has a foreground class.

    Raises:
        ValueError: the shapes differ.

    >>> loss = estimate_loss(np.array([[1.0, 0.75], [1.0, 0.5]]), np.array([[1.0, 0.5], [1.0, 0.5]]))
    >>> loss.estimate, loss.low, loss.high
    (12.5, 0.0, 25.0)
    """
    if reference.shape != scores.shape:
        raise ValueError(f"scores {reference.shape} and {scores.shape} are not of the same groups and classes")
    loss = float(_points_lost(reference, scores))
    if math.isnan(loss):
        return None
    drawn = [_points_lost(reference[groups], scores[groups]) for groups in draw_resamples(len(scores), seed=0)]
    return percentile_interval(loss, np.concatenate(drawn))


def _points_lost(reference: Scores, scores: Scores) -> Scores:
    """Return the loss of each draw of groups: [..., G, labels] to [...]; NaN where no drawn group has a foreground class."""
    lost: Scores = 100 * (mean_over_foreground(reference) - mean_over_foreground(scores))
    return lost
