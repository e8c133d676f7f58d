"""What one network loses against another on the same images: the difference of mean Dice, with a bootstrap over the groups.

Patients (or images, where each stands alone) are drawn again with replacement, both networks' predictions of a drawn one
together (Efron 1979): what is hard for both cancels.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from u3p_edge import metrics
from u3p_edge.benchmark.statistics import CONFIDENCE, Interval, resamples

Labels = npt.NDArray[np.uint8]


def paired_loss(truth: Labels, reference: Labels, prediction: Labels, groups: Sequence[str], labels: int) -> Interval:
    """Points of mean foreground Dice that a prediction has less than the reference's; negative where it has more.

    Pixels are pooled over a group, scores averaged over the groups that have the class, then over the foreground classes, as in
    `u3p_edge.benchmark.accuracy.score`.

    Args:
        truth, reference, prediction: labels uint8 [N, H, W].
        groups: one name an image.
        labels: number of classes, background included.
    """
    before, after = (
        metrics.dice(metrics.confusion_by_group(truth, found, groups, labels))[:, 1:] for found in (reference, prediction)
    )
    draws = 100 * np.concatenate([_mean(before[drawn]) - _mean(after[drawn]) for drawn in resamples(len(before), seed=0)])
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(draws, (tail, 100 - tail))
    return Interval(float(100 * (_mean(before[None]) - _mean(after[None]))[0]), float(low), float(high))


def _mean(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Over groups, then classes: [draws, G, K] to [draws]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class that no drawn group has
        found: npt.NDArray[np.float64] = np.nanmean(np.nanmean(scores, axis=1), axis=1)
    return found
