"""How well a predicted mask agrees with the truth: overlap (Dice, IoU) and distance between outlines (HD95, ASSD).

Conventions for empty masks, the same for all four:

- the class is in neither mask: NaN, there is nothing to score; leave it out of a mean (`np.nanmean`);
- the class is in one of them alone: Dice and IoU are 0, and a distance is the diagonal of the image, the longest that
  two pixels of it can be apart, so that a mean over images stays finite and a missed organ is never better than a
  misplaced one.

Definitions follow Taha and Hanbury, "Metrics for evaluating 3D medical image segmentation", BMC Medical Imaging 2015.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Spacing = tuple[float, float]

IGNORE = 255
"""Truth of a pixel that is not scored."""

CHUNK = 1 << 20
"""Pixels that are counted at a time: they are widened to int64."""


def ranked(score: float) -> float:
    """A score as it is compared with others: what is no number (no class was there to be scored) is the worst, -inf."""
    return -math.inf if math.isnan(score) else score


def confusion(truth: npt.ArrayLike, prediction: npt.ArrayLike, labels: int) -> Counts:
    """Pixels of each class that are right, invented and missed; add the counts of several images to pool them.

    Args:
        truth, prediction: integer labels 0..labels-1 of one shape (any); pixels whose truth is `IGNORE` do not count.
        labels: number of classes, background included, at most 255.

    Returns:
        int64 [labels, 3]: true positives, false positives, false negatives.

    Raises:
        ValueError: the shapes differ, or a label lies outside 0..labels-1.
    """
    t, p = np.asarray(truth), np.asarray(prediction)
    if t.shape != p.shape:
        raise ValueError(f"truth {t.shape} and prediction {p.shape} differ in shape")
    counts: Counts = _confusions(t.reshape(1, -1), p.reshape(1, -1), labels)[0]
    return counts


def confusion_by_group(truth: npt.ArrayLike, prediction: npt.ArrayLike, groups: Sequence[str], labels: int) -> Counts:
    """`confusion` of several images, pooled over the images of each group, in one pass over them.

    Args:
        truth, prediction: integer labels [N, ...].
        groups: one name an image.
        labels: number of classes, background included.

    Returns:
        int64 [G, labels, 3], groups in the order of their first image.

    Raises:
        ValueError: as `confusion`.
    """
    t, p = np.asarray(truth), np.asarray(prediction)
    if t.shape != p.shape or len(t) != len(groups):
        raise ValueError(f"truth {t.shape}, prediction {p.shape} and {len(groups)} groups differ in shape")
    order = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    owners = np.array([order[name] for name in groups], np.intp)
    counts = np.zeros((len(order), labels, 3), np.int64)
    step = max(1, CHUNK // max(t[0].size, labels * labels))
    for first in range(0, len(t), step):
        part = slice(first, first + step)
        images = len(t[part])
        np.add.at(counts, owners[part], _confusions(t[part].reshape(images, -1), p[part].reshape(images, -1), labels))
    return counts


def dice(counts: Counts) -> Scores:
    """Dice coefficient 2 TP / (2 TP + FP + FN) of each class, float64 [..., labels]; NaN for a class in neither mask."""
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def iou(counts: Counts) -> Scores:
    """Intersection over union TP / (TP + FP + FN) of each class, float64 [..., labels]; NaN for a class in neither mask."""
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    return _ratio(tp, tp + fp + fn)


def mean_over_groups(scores: Scores) -> Scores:
    """The mean of each class over the groups that have it: [G, labels] to [labels]; NaN for a class that no group has.

    Of `dice(confusion_by_group(...))` this is the Dice of every report: pixels pooled over the images of a group (a patient,
    a volume), so that a slice with a few pixels of a class does not weigh as much as its bulk, then averaged over groups.
    """
    there = ~np.isnan(scores)
    return _ratio(np.where(there, scores, 0.0).sum(axis=0), there.sum(axis=0))


def hd95(truth_mask: npt.ArrayLike, pred_mask: npt.ArrayLike, spacing: Spacing = (1.0, 1.0)) -> float:
    """95th percentile Hausdorff distance between two outlines, in the unit of `spacing`.

    The larger of the two directed 95th percentiles (linear interpolation). The outline of a mask is its pixels with
    a 4-neighbour outside it; what lies beyond the image counts as outside.

    Args:
        truth_mask, pred_mask: bool [H, W].
        spacing: height and width of a pixel, e.g. in mm.

    Raises:
        ValueError: the shapes differ.
    """
    return outline_distances(truth_mask, pred_mask, spacing)[0]


def average_surface_distance(truth_mask: npt.ArrayLike, pred_mask: npt.ArrayLike, spacing: Spacing = (1.0, 1.0)) -> float:
    """Average symmetric surface distance, in the unit of `spacing`.

    The mean over the pixels of both outlines of the distance to the other outline; arguments as `hd95`.
    """
    return outline_distances(truth_mask, pred_mask, spacing)[1]


def outline_distances(
    truth_mask: npt.ArrayLike, pred_mask: npt.ArrayLike, spacing: Spacing = (1.0, 1.0)
) -> tuple[float, float]:
    """`hd95` and `average_surface_distance`, for the time of one; both follow the convention for empty masks."""
    t, p = np.asarray(truth_mask, dtype=bool), np.asarray(pred_mask, dtype=bool)
    if t.shape != p.shape or t.ndim != 2:
        raise ValueError(f"truth {t.shape} and prediction {p.shape} must be two masks [H, W] of one shape")
    if not t.any() and not p.any():
        return float("nan"), float("nan")
    if not t.any() or not p.any():
        diagonal = float(np.hypot(*((np.array(t.shape) - 1) * np.asarray(spacing))))
        return diagonal, diagonal
    # Outlines lie inside the box around both masks, so distances do too; a small organ costs a small transform.
    either = t | p
    box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(either))
    a, b = _outline(t[box]), _outline(p[box])
    there, back = _to(b, spacing)[a], _to(a, spacing)[b]
    hausdorff = max(float(np.percentile(directed, 95)) for directed in (there, back))
    return hausdorff, float(np.concatenate([there, back]).mean())


def hd95_per_class(truth: npt.ArrayLike, prediction: npt.ArrayLike, labels: int, spacing: Spacing = (1.0, 1.0)) -> Scores:
    """`hd95` of each class of two label images [H, W], where truth is `IGNORE` in neither: float64 [labels]."""
    return _per_class(hd95, truth, prediction, labels, spacing)


def average_surface_distance_per_class(
    truth: npt.ArrayLike, prediction: npt.ArrayLike, labels: int, spacing: Spacing = (1.0, 1.0)
) -> Scores:
    """`average_surface_distance` of each class of two label images [H, W], as `hd95_per_class`: float64 [labels]."""
    return _per_class(average_surface_distance, truth, prediction, labels, spacing)


def outline_distances_per_class(truth: npt.ArrayLike, prediction: npt.ArrayLike, labels: int) -> Scores:
    """`outline_distances` in pixels of each class of two label images [H, W], as `hd95_per_class`.

    Returns:
        float64 [labels, 2]: HD95 and average surface distance. NaN for the background, whose outline is everybody else's.
    """
    t, p = np.asarray(truth), np.asarray(prediction)
    counted = t != IGNORE
    pairs = [outline_distances(t == k, counted & (p == k)) for k in range(1, labels)]
    return np.array([(math.nan, math.nan), *pairs], dtype=np.float64)


def _confusions(truth: npt.NDArray[Any], prediction: npt.NDArray[Any], labels: int) -> Counts:
    """`confusion` of each row of [N, P]: int64 [N, labels, 3]."""
    counted = truth != IGNORE
    rows = np.broadcast_to(np.arange(len(truth))[:, None], truth.shape)[counted]
    t, p = truth[counted], prediction[counted]
    for name, a in (("truth", t), ("prediction", p)):
        if a.size and (a.min() < 0 or a.max() >= labels):
            raise ValueError(f"{name} has labels {a.min()}..{a.max()}, outside 0..{labels - 1}")
    pairs = (rows * labels + t) * labels + p
    tables = np.bincount(pairs, minlength=len(truth) * labels * labels).reshape(-1, labels, labels)
    right = np.diagonal(tables, axis1=1, axis2=2)
    return np.stack([right, tables.sum(axis=1) - right, tables.sum(axis=2) - right], axis=2).astype(np.int64)


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Scores:
    out = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def _per_class(
    distance: Callable[[npt.ArrayLike, npt.ArrayLike, Spacing], float],
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    labels: int,
    spacing: Spacing,
) -> Scores:
    t, p = np.asarray(truth), np.asarray(prediction)
    counted = t != IGNORE
    return np.array([distance(t == k, counted & (p == k), spacing) for k in range(labels)], dtype=np.float64)


def _outline(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    outline: Mask = mask & ~inner
    return outline


def _to(outline: Mask, spacing: Spacing) -> Scores:
    """Distance of every pixel to the nearest pixel of `outline`."""
    from scipy.ndimage import distance_transform_edt  # only here: a device scores Dice without SciPy

    distances: Scores = distance_transform_edt(~outline, sampling=spacing)
    return distances
