"""Paired comparison of two networks on the same images: the difference of mean Dice, with a bootstrap over the groups.

Patients (or images, if every image is a group) are resampled with replacement, and both networks' predictions of a drawn
patient are taken together (Efron 1979). So what is hard for both networks cancels.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from u3p_edge import metrics
from u3p_edge.benchmark.statistics import Interval, draw_resamples, percentile_interval

Labels = npt.NDArray[np.uint8]


def estimate_loss(truth: Labels, reference: Labels, prediction: Labels, groups: Sequence[str], labels: int) -> Interval:
    """Return how many points of mean foreground Dice a prediction loses against the reference; negative if it gains.

    Pixels are pooled over a group, as in `u3p_edge.benchmark.accuracy.score`. Scores are averaged over the groups that have the
    class, then over the foreground classes.

    Args:
        truth, reference, prediction: labels uint8 [N, H, W].
        groups: the group name of each image.
        labels: number of classes, background included.
    """
    before, after = (
        metrics.dice(metrics.confusion_by_group(truth, predicted, groups, labels))[:, 1:]
        for predicted in (reference, prediction)
    )
    draws = [100 * (_mean(before[drawn]) - _mean(after[drawn])) for drawn in draw_resamples(len(before), seed=0)]
    return percentile_interval(float(100 * (_mean(before) - _mean(after))), np.concatenate(draws))


def _mean(scores: metrics.Scores) -> metrics.Scores:
    """Average over groups, then over classes: [..., G, K] to [...]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no drawn group has any foreground class
        means: metrics.Scores = np.nanmean(metrics.mean_over_groups(scores), axis=-1)
    return means
