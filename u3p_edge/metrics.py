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
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import require_packages
from u3p_edge.label_values import count_values, has_class

Counts = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Spacing = tuple[float, float]

IGNORE = 255
"""Label in the truth of a pixel that is not scored."""

CHUNK = 1 << 20
"""Pixels that are counted at a time: they are widened to int64."""


def rank_score(score: float) -> float:
    """Return a score for comparisons: NaN, where no class could be scored, becomes the worst, -inf.

    >>> max([0.5, float("nan"), 0.9], key=rank_score)
    0.9
    """
    return -math.inf if math.isnan(score) else score


def confusion(truth: npt.ArrayLike, prediction: npt.ArrayLike, labels: int, multi_label: bool = False) -> Counts:
    """Count the pixels of each class that are right, invented and missed. Counts of several images may be added to pool them.

    Args:
        truth, prediction: integer labels of one shape (any), see `label_values`; pixels whose truth is `IGNORE` do not count.
        labels: number of classes, background included, at most 255.
        multi_label: classes may overlap; the background is the pixels of no class.

    Returns:
        int64 [labels, 3]: true positives, false positives, false negatives.

    Raises:
        ValueError: the shapes differ, or a label has a value beyond the classes.

    >>> confusion(truth=[0, 1, 1, IGNORE], prediction=[0, 1, 0, 1], labels=2)
    array([[1, 1, 0],
           [1, 0, 1]])
    """
    t, p = np.asarray(truth), np.asarray(prediction)
    if t.shape != p.shape:
        raise ValueError(f"truth {t.shape} and prediction {p.shape} differ in shape")
    counts: Counts = _confusions(t.reshape(1, -1), p.reshape(1, -1), labels, multi_label)[0]
    return counts


def confusion_by_group(
    truth: npt.ArrayLike, prediction: npt.ArrayLike, groups: Sequence[str], labels: int, multi_label: bool = False
) -> Counts:
    """Count as `confusion`, pooled over the images of each group.

    Args:
        truth, prediction: integer labels [N, ...].
        groups: one name for each image.
        labels, multi_label: as for `confusion`.

    Returns:
        int64 [G, labels, 3], groups in the order of their first image.

    Raises:
        ValueError: as `confusion`.
    """
    return pool_by_group(confusion_by_image(truth, prediction, labels, multi_label), groups)


def confusion_by_image(truth: npt.ArrayLike, prediction: npt.ArrayLike, labels: int, multi_label: bool = False) -> Counts:
    """Count as `confusion` for each image; arguments and errors as `confusion_by_group`.

    Returns:
        int64 [N, labels, 3].
    """
    t, p = np.asarray(truth), np.asarray(prediction)
    if t.shape != p.shape:
        raise ValueError(f"truth {t.shape} and prediction {p.shape} differ in shape")
    counts = np.zeros((len(t), labels, 3), np.int64)
    step = max(1, CHUNK // max(math.prod(t.shape[1:]), count_values(labels, multi_label) ** 2))
    for first in range(0, len(t), step):
        part = slice(first, first + step)
        images = len(t[part])
        counts[part] = _confusions(t[part].reshape(images, -1), p[part].reshape(images, -1), labels, multi_label)
    return counts


def pool_by_group(counts: Counts, groups: Sequence[str]) -> Counts:
    """Add up the counts int64 [N, labels, 3] of the images of each group: int64 [G, labels, 3], as `confusion_by_group`.

    Raises:
        ValueError: there is not one group for each image.
    """
    if len(counts) != len(groups):
        raise ValueError(f"{len(counts)} images and {len(groups)} groups differ in number")
    order = {name: index for index, name in enumerate(dict.fromkeys(groups))}
    pooled = np.zeros((len(order), *counts.shape[1:]), np.int64)
    np.add.at(pooled, np.array([order[name] for name in groups], np.intp), counts)
    return pooled


def highest_label(labels: npt.NDArray[np.uint8]) -> int:
    """Return the highest label of images [N, H, W] other than `IGNORE`, one image after the other; 0 where there is none.

    >>> highest_label(np.array([[[0, 2]], [[1, IGNORE]]], np.uint8))
    2
    """
    return max((int(np.where(image == IGNORE, 0, image).max()) for image in labels), default=0)


def dice(counts: Counts) -> Scores:
    """Return the Dice coefficient 2 TP / (2 TP + FP + FN) of each class.

    Args:
        counts: int64 [..., labels, 3], from `confusion` or `confusion_by_group`.

    Returns:
        float64 [..., labels], 0..1; NaN for a class in neither mask.

    >>> dice(confusion(truth=[0, 1, 1], prediction=[0, 1, 0], labels=2)).round(3).tolist()
    [0.667, 0.667]
    """
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    return _ratio(2 * tp, 2 * tp + fp + fn)


def iou(counts: Counts) -> Scores:
    """Return the intersection over union TP / (TP + FP + FN) of each class; arguments and result as `dice`.

    >>> iou(confusion(truth=[0, 1, 1], prediction=[0, 1, 0], labels=2)).tolist()
    [0.5, 0.5]
    """
    tp, fp, fn = np.moveaxis(counts, -1, 0)
    return _ratio(tp, tp + fp + fn)


def mean_over_groups(scores: Scores) -> Scores:
    """Return the mean of each class over the groups that have it: [..., G, labels] to [..., labels]; NaN where no group has it.

    Of `dice(confusion_by_group(...))` this is the Dice of every report: pixels pooled over the images of a group (a patient,
    a volume), so that a slice with a few pixels of a class does not count as much as its bulk, then averaged over groups.

    >>> mean_over_groups(np.array([[0.9, np.nan], [0.7, 0.5]])).tolist()
    [0.8, 0.5]
    """
    there = ~np.isnan(scores)
    return _ratio(np.where(there, scores, 0.0).sum(axis=-2), there.sum(axis=-2))


def mean_over_foreground(scores: Scores) -> Scores:
    """Return the mean over groups, then over the foreground classes: [..., G, labels] to [...]; NaN where there is none.

    >>> float(mean_over_foreground(np.array([[1.0, 0.9, np.nan], [1.0, 0.7, 0.4]])).round(3))
    0.6
    """
    return mean_over_groups(mean_over_groups(scores)[..., 1:, np.newaxis])[..., 0]


def outline_distances(
    truth_mask: npt.ArrayLike, pred_mask: npt.ArrayLike, spacing: Spacing = (1.0, 1.0)
) -> tuple[float, float]:
    """Return HD95 and average surface distance of two outlines, in the unit of `spacing`.

    HD95, the 95th percentile Hausdorff distance, is the larger of the two directed 95th percentiles (linear interpolation).
    The average symmetric surface distance is the mean, over the pixels of both outlines, of the distance to the other
    outline. The outline of a mask is its pixels with a 4-neighbour outside it; what lies beyond the image counts as outside.

    Args:
        truth_mask, pred_mask: bool [H, W].
        spacing: height and width of a pixel, e.g. in mm.

    Raises:
        ValueError: the shapes differ.
        MissingPackageError: SciPy is not installed.

    >>> a, b = np.zeros((2, 8, 8), bool)
    >>> a[2, 2] = b[2, 5] = True
    >>> outline_distances(a, b, spacing=(1.0, 0.5))
    (1.5, 1.5)
    """
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
    there, back = _distances_to(b, spacing)[a], _distances_to(a, spacing)[b]
    hausdorff = max(float(np.percentile(directed, 95)) for directed in (there, back))
    return hausdorff, float(np.concatenate([there, back]).mean())


def outline_distances_per_class(
    truth: npt.ArrayLike,
    prediction: npt.ArrayLike,
    labels: int,
    spacing: Spacing = (1.0, 1.0),
    multi_label: bool = False,
) -> Scores:
    """Return `outline_distances` of each class of two label images, where truth is not `IGNORE`.

    Args:
        truth, prediction: integer labels [H, W].
        labels, multi_label: as for `confusion`.
        spacing: height and width of a pixel, e.g. in mm.

    Returns:
        float64 [labels, 2]: HD95 and average surface distance. NaN for the background, whose outline is that of the others.

    Raises:
        MissingPackageError: SciPy is not installed.
    """
    t, p = np.asarray(truth), np.asarray(prediction)
    counted = t != IGNORE
    masks = [(has_class(t, k, multi_label), has_class(p, k, multi_label)) for k in range(1, labels)]
    pairs = [outline_distances(counted & of_truth, counted & predicted, spacing) for of_truth, predicted in masks]
    return np.array([(math.nan, math.nan), *pairs], dtype=np.float64)


def _confusions(truth: npt.NDArray[Any], prediction: npt.NDArray[Any], labels: int, multi_label: bool) -> Counts:
    """Count as `confusion` for each row of [N, P]: int64 [N, labels, 3]."""
    counted, values = truth != IGNORE, count_values(labels, multi_label)
    for name, a in (("truth", truth[counted]), ("prediction", prediction[counted])):
        if a.size and (a.min() < 0 or a.max() >= values):
            raise ValueError(f"{name} has labels {a.min()}..{a.max()}, outside 0..{values - 1}")
    tables = _tables(truth, prediction, counted, values)
    if multi_label:
        members = np.stack([has_class(np.arange(values), k, multi_label) for k in range(labels)]).astype(np.int64)
        right = np.einsum("kt,ntp,kp->nk", members, tables, members)
        return np.stack([right, tables.sum(axis=1) @ members.T - right, tables.sum(axis=2) @ members.T - right], axis=2)
    right = np.diagonal(tables, axis1=1, axis2=2)
    return np.stack([right, tables.sum(axis=1) - right, tables.sum(axis=2) - right], axis=2)


def _tables(truth: npt.NDArray[Any], prediction: npt.NDArray[Any], counted: npt.NDArray[np.bool_], values: int) -> Counts:
    """Count the pixels of each pair of true and predicted value, for each row of [N, P]: int64 [N, values, values]."""
    rows = np.broadcast_to(np.arange(len(truth))[:, None], truth.shape)[counted]
    pairs = (rows * values + truth[counted]) * values + prediction[counted]
    tables = np.bincount(pairs, minlength=len(truth) * values * values).reshape(-1, values, values)
    return tables.astype(np.int64, copy=False)


def _ratio(part: npt.NDArray[Any], whole: npt.NDArray[Any]) -> Scores:
    out = np.full(whole.shape, np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def _outline(mask: Mask) -> Mask:
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    outline: Mask = mask & ~inner
    return outline


@require_packages("the distance between outlines")
def _distances_to(outline: Mask, spacing: Spacing) -> Scores:
    """Return the distance of every pixel to the nearest pixel of `outline`."""
    from scipy.ndimage import distance_transform_edt  # only here: a device scores Dice without SciPy

    distances: Scores = distance_transform_edt(~outline, sampling=spacing)
    return distances
