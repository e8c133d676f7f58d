"""Dice and IoU of a session's labels on real images, by group, and their agreement with the float model's labels."""

from __future__ import annotations

import hashlib
import importlib
import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from u3p_edge import metrics
from u3p_edge.benchmark.result import Accuracy, ClassScores, Distances
from u3p_edge.data.disk_arrays import empty_array
from u3p_edge.data.fit_notes import Original
from u3p_edge.data.tiled_labels import label_inputs
from u3p_edge.progress import Step, idle
from u3p_edge.runtime.base import OutputArray, Session

Labels = npt.NDArray[np.uint8]


def predict_labels(
    session: Session, images: npt.NDArray[np.float32], step: Step = idle, originals: Sequence[Original] = ()
) -> Labels:
    """Predict labels, which are kept as `empty_array` says.

    Args:
        session: of one model.
        images: preprocessed, float32 [N, H, W, C].
        step: called after each of them.
        originals: the images that they were made of; empty where none was cut into tiles.

    Returns:
        uint8 [N, H, W]. Those of tiles are what prediction writes for their image (see `data.tiled_labels`).
    """

    def outputs() -> Iterator[OutputArray]:
        for image in images:
            yield session.run(image)
            step()

    labels = empty_array(images.shape[:3], np.uint8)
    for i, one in enumerate(label_inputs(outputs(), originals, session.metadata)):
        labels[i] = one
    return labels


def score(
    truth: Labels,
    prediction: Labels,
    reference: Labels,
    groups: Sequence[str],
    labels: int,
    stems: Sequence[str] = (),
    *,
    multi_label: bool = False,
) -> Accuracy:
    """Return the accuracy of predicted labels.

    Pixels are pooled over the images of a group (a patient, a volume). So a slice with a few pixels of a class counts less than
    one with many. The scores of each class are then averaged over the groups that have it.

    Args:
        truth, prediction, reference: labels uint8 [N, H, W]; `reference` is the float model's prediction.
        groups: the group name of each image.
        labels: number of classes, background included.
        stems: the name of each image, for scores by image; tiles of one image share it, and are pooled. Empty for none.
        multi_label: classes may overlap.
    """
    counts = metrics.confusion_by_image(truth, prediction, labels, multi_label)
    by_group = metrics.pool_by_group(counts, groups)
    by_image = metrics.pool_by_group(counts, stems) if stems else counts[:0]
    dice, iou = metrics.dice(by_group), metrics.iou(by_group)
    return Accuracy(
        dice=_optional(metrics.mean_over_groups(dice)),
        iou=_optional(metrics.mean_over_groups(iou)),
        agreement=sum(np.count_nonzero(p == r) for p, r in zip(prediction, reference, strict=True)) / prediction.size,
        group_dice=tuple(map(_optional, dice)),
        image_dice=tuple(map(_optional, metrics.dice(by_image))),
        group_iou=tuple(map(_optional, iou)),
        image_iou=tuple(map(_optional, metrics.iou(by_image))),
    )


def dice_by_group(
    truth: Labels, prediction: Labels, groups: Sequence[str], labels: int, multi_label: bool = False
) -> metrics.Scores:
    """Return Dice of each group and class, as `Accuracy.group_dice` has it: float64 [G, labels], NaN for a class in no mask.

    Arguments as of `score`.
    """
    return metrics.dice(metrics.confusion_by_group(truth, prediction, groups, labels, multi_label))


def measure_distances(
    truth: Labels,
    prediction: Labels,
    groups: Sequence[str],
    labels: int,
    stems: Sequence[str] = (),
    spacings: Sequence[metrics.Spacing] = (),
    *,
    multi_label: bool = False,
) -> Distances | None:
    """Return HD95 and surface distance of predicted labels, slice by slice; None if SciPy is not installed.

    Args:
        truth, prediction: labels uint8 [N, H, W].
        groups: the group name of each image.
        labels: number of classes, background included.
        stems: the name of each image, for distances by image; of tiles that share it the mean is taken. Empty for none.
        spacings: height and width of a pixel of each image in mm; empty to measure in pixels.
        multi_label: classes may overlap.
    """
    try:
        importlib.import_module("scipy.ndimage")
    except ImportError:
        return None
    pairs = zip(truth, prediction, spacings or [(1.0, 1.0)] * len(truth), strict=True)
    images = np.stack([metrics.outline_distances_per_class(t, p, labels, spacing, multi_label) for t, p, spacing in pairs])
    hd95, surface = _split(images, groups)
    image_hd95, image_surface = _split(images, stems) if stems else ((), ())
    return Distances(
        _optional(metrics.mean_over_groups(hd95)),
        _optional(metrics.mean_over_groups(surface)),
        tuple(map(_optional, hd95)),
        tuple(map(_optional, surface)),
        tuple(map(_optional, image_hd95)),
        tuple(map(_optional, image_surface)),
        "mm" if spacings else "pixels",
    )


def data_sha256(images: npt.NDArray[np.float32], labels: Labels, groups: Sequence[str]) -> str:
    """Return the hexadecimal sha256 of the data that accuracy is measured on."""
    digest = hashlib.sha256("\0".join(groups).encode())
    for array in (images, labels):
        digest.update(str((array.dtype.str, array.shape)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _split(images: metrics.Scores, names: Sequence[str]) -> tuple[metrics.Scores, metrics.Scores]:
    """Return HD95 and surface distance of each name, in the order of their first image: [N, labels, 2] to [G, labels] twice."""
    owners = np.asarray(names)
    means = np.stack([_mean_over(images[owners == name]) for name in dict.fromkeys(names)])
    return means[..., 0], means[..., 1]


def _mean_over(images: metrics.Scores) -> metrics.Scores:
    """Average [N, labels, 2] over the images that have a class; NaN if none has."""
    count = len(images)
    return metrics.mean_over_groups(images.reshape(count, -1)).reshape(images.shape[1:])


def _optional(scores: metrics.Scores) -> ClassScores:
    """Return the scores with None for NaN."""
    return tuple(None if math.isnan(score) else float(score) for score in scores)
