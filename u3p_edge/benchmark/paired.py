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
from u3p_edge.benchmark.statistics import CONFIDENCE, RESAMPLES, Interval

Labels = npt.NDArray[np.uint8]


def lost(truth: Labels, reference: Labels, prediction: Labels, groups: Sequence[str], labels: int) -> Interval:
    """Points of mean foreground Dice that a prediction has less than the reference's; negative where it has more.

    Pixels are pooled over a group, scores averaged over the groups that have the class, then over the foreground classes, as in
    `u3p_edge.benchmark.accuracy.score`.

    Args:
        truth, reference, prediction: labels uint8 [N, H, W].
        groups: one name an image.
        labels: number of classes, background included.
    """
    names = tuple(dict.fromkeys(groups))
    before, after = (_by_group(truth, found, groups, names, labels) for found in (reference, prediction))
    drawn = np.random.default_rng(0).integers(0, len(names), size=(RESAMPLES, len(names)))
    draws = 100 * (_mean(before[drawn]) - _mean(after[drawn]))
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(draws, (tail, 100 - tail))
    return Interval(float(100 * (_mean(before[None]) - _mean(after[None]))[0]), float(low), float(high))


def _by_group(
    truth: Labels, found: Labels, groups: Sequence[str], names: Sequence[str], labels: int
) -> npt.NDArray[np.float64]:
    """Dice of every group and foreground class, [G, K - 1]; NaN where neither truth nor prediction has it."""
    rows = []
    for name in names:
        inside = np.array([group == name for group in groups])
        rows.append(metrics.dice(metrics.confusion(truth[inside], found[inside], labels))[1:])
    return np.stack(rows)


def _mean(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Over groups, then classes: [draws, G, K] to [draws]."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class that no drawn group has
        found: npt.NDArray[np.float64] = np.nanmean(np.nanmean(scores, axis=1), axis=1)
    return found
