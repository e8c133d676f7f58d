"""Check that a Keras file's model works at all on the user's data, under the normalisation that was chosen for it.

A Keras file does not say how its images were normalised. Under a wrong normalisation every exported file agrees with the float
model, and all of them are wrong. So the float model is scored on validation images under the chosen normalisation and under
the other common ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from u3p_edge.benchmark.accuracy import dice_by_group, score
from u3p_edge.benchmark.paired import estimate_loss
from u3p_edge.config.metadata import Metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.folder import Sample
from u3p_edge.data.load import Arrays, load_samples
from u3p_edge.data.preprocess import to_labels
from u3p_edge.data.spread import spread_evenly
from u3p_edge.errors import DataError, ModelError
from u3p_edge.label_values import count_values, value_of
from u3p_edge.metrics import IGNORE
from u3p_edge.pipeline.source import Source
from u3p_edge.progress import Progress

IMAGES, LEAST_IMAGES = 64, 8
"""Validation images that are scored: at most, and at least where the network is expensive."""

MACS = 3e11
"""Multiplications to spend on each normalisation: some seconds of one core."""

MARGIN = 1.0
"""Points of Dice, at the lower end of the 95 % interval, by which another normalisation is clearly better."""

BATCH = 8

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class NormalizationCheck:
    """How the float model scores under each normalisation.

    Args:
        chosen: options that choose the normalisation of the export, e.g. "--normalize percentile".
        dice: mean foreground Dice by such options, 0..1, pooled over a group, then averaged; the chosen one first.
        constant: the same score for the best constant prediction, one class everywhere.
        images: number of images scored.
        fault: what is wrong, in one sentence; empty where nothing is.
        mend: what to do about it.
    """

    chosen: str
    dice: Mapping[str, float]
    constant: float
    images: int
    fault: str = ""
    mend: str = ""

    @property
    def note(self) -> str:
        """The scores in one sentence for the report, after the fault where there is one."""
        scores = ", ".join(f"{100 * dice:.2f} with {options}" for options, dice in self.dice.items())
        sentence = (
            f"The float model scores a mean Dice on {self.images} validation images of {scores}; the best constant "
            f"prediction scores {100 * self.constant:.2f}."
        )
        return f"**{self.fault}** {sentence}" if self.fault else sentence


def check_normalization(source: Source, samples: tuple[Sample, ...], progress: Progress) -> NormalizationCheck | None:
    """Score a float model under every common normalisation.

    Args:
        source: the model, with the metadata that its files would carry.
        samples: of the validation split.

    Returns:
        None where the scored samples have no foreground, so that there is nothing to score.

    Raises:
        DataError: an image that cannot be read under the chosen normalisation.
    """
    metadata, chosen = source.metadata, source.metadata.preprocessing
    some = _choose_samples(samples, source.macs)
    arrays = load_samples(some, chosen, metadata.labels, multi_label=metadata.multi_label)
    if not ((arrays.labels != 0) & (arrays.labels != IGNORE)).any():
        return None
    candidates = [chosen, *(p for p in _others(chosen) if normalization_flags(p) != normalization_flags(chosen))]
    step = progress("Score under each normalization", len(candidates))
    predictions: dict[str, Labels] = {}
    for preprocessing in candidates:
        images = arrays.images if preprocessing is chosen else _images(some, preprocessing, metadata)
        if images is not None:
            predictions[normalization_flags(preprocessing)] = _predict(source, images)
        step()
    return compare_normalizations(source.name, arrays, predictions, metadata.labels, metadata.multi_label)


def compare_normalizations(
    name: str, arrays: Arrays, predictions: Mapping[str, Labels], labels: int, multi_label: bool = False
) -> NormalizationCheck:
    """Compare the predictions under each normalisation with those under the first, the chosen one.

    Args:
        name: of the model, for the sentence.
        arrays: the images' truth and groups.
        predictions: labels uint8 [N, H, W] by the options of the normalisation.
        labels: number of classes, background included.
        multi_label: classes may overlap.
    """

    def dice(prediction: Labels) -> float:
        scored = score(arrays.labels, prediction, prediction, arrays.groups, labels, multi_label=multi_label)
        return scored.mean_dice or 0.0

    # One class everywhere or, where that may be, all of them.
    values = {value_of(label, multi_label) for label in range(1, labels)} | {count_values(labels, multi_label) - 1}
    constants = [np.full_like(arrays.labels, value) for value in sorted(values)]
    trivial = max(constants, key=dice)
    scores = {options: dice(prediction) for options, prediction in predictions.items()}
    chosen, *others = predictions
    check = NormalizationCheck(chosen, scores, dice(trivial), len(arrays.labels))

    def gain(better: Labels, worse: Labels) -> float:
        """Return the gain in points of Dice, at the lower end of the 95 % interval."""
        pair = (dice_by_group(arrays.labels, p, arrays.groups, labels, multi_label) for p in (better, worse))
        loss = estimate_loss(*pair)
        return 0.0 if loss is None else loss.low

    best = max(others, key=lambda options: scores[options], default=chosen)
    scored = f"{name} scores a mean Dice of {100 * scores[chosen]:.2f} points with {chosen}"
    if best != chosen and gain(predictions[best], predictions[chosen]) > MARGIN:
        fault = f"{scored}, and {100 * scores[best]:.2f} with {best}: the images were normalised in another way in training."
        return replace(check, fault=fault, mend=f"Give {best}, or --accept to export it as it is.")
    if not gain(predictions[chosen], trivial) > 0:
        fault = f"{scored}, no better than a constant prediction ({100 * check.constant:.2f})."
        mend = "Check that the data, its classes and the preprocessing are those of the model, or give --accept to export it."
        return replace(check, fault=fault, mend=mend)
    return check


def require_working(check: NormalizationCheck | None) -> None:
    """Raise ModelError for a float model that does not work as it would be exported."""
    if check is not None and check.fault:
        raise ModelError(check.fault, mend=check.mend)


def normalization_flags(preprocessing: Preprocessing) -> str:
    """Return the command-line options that choose a normalisation."""
    values = {name: ",".join(f"{v:g}" for v in getattr(preprocessing, name)) for name in ("mean", "std")}
    return " ".join([f"--normalize {preprocessing.normalization}", *(f"--{n} {v}" for n, v in values.items() if v)])


def _others(chosen: Preprocessing) -> list[Preprocessing]:
    """Return the common normalisations, among them 8-bit pixels to -1..1 and, for RGB, ImageNet's mean and deviation."""
    centred = ((127.5,) * chosen.channels,) * 2
    imagenet = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
    means = [centred, *([imagenet] if chosen.channels == 3 else [])]
    return [
        *(replace(chosen, normalization=kind, mean=(), std=()) for kind in ("percentile", "zscore", "range", "none")),
        *(replace(chosen, normalization="meanstd", mean=mean, std=std) for mean, std in means),
    ]


def _choose_samples(samples: tuple[Sample, ...], macs: int) -> tuple[Sample, ...]:
    """Choose samples evenly over the groups, fewer for an expensive network."""
    count = min(len(samples), IMAGES, max(LEAST_IMAGES, int(MACS / max(macs, 1))))
    ordered = sorted(samples, key=lambda sample: (sample.group, sample.stem))
    return tuple(ordered[i] for i in spread_evenly(len(ordered), count))


def _images(samples: tuple[Sample, ...], preprocessing: Preprocessing, metadata: Metadata) -> npt.NDArray[np.float32] | None:
    """Load images under another normalisation; None where it does not apply to them."""
    try:
        return load_samples(samples, preprocessing, metadata.labels, multi_label=metadata.multi_label).images
    except DataError:
        return None


def _predict(source: Source, images: npt.NDArray[np.float32]) -> Labels:
    masks = source.model.predict(images, batch_size=BATCH, verbose=0)
    return np.stack([to_labels(mask, multi_label=source.metadata.multi_label) for mask in masks])
