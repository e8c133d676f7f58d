"""Scores on the validation split, by which an export decides: of a float model and of exported files, in the same way."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.benchmark.accuracy import dice_by_group, predict_labels
from u3p_edge.benchmark.environment import scoring_threads
from u3p_edge.benchmark.loss_check import LossCheck, check_loss
from u3p_edge.data.load import Arrays
from u3p_edge.data.tiled_labels import label_inputs
from u3p_edge.metrics import Scores, confusion_by_image, dice, mean_over_foreground, pool_by_group
from u3p_edge.pipeline.source import Source
from u3p_edge.progress import Progress, Step, idle
from u3p_edge.runtime import Session, open_session

BATCH = 16
"""Images that a float model predicts at a time."""

MAP_BYTES = 1 << 28
"""Bytes of probabilities that are in memory at a time, or those of a batch where it has more."""


def float_model_scores(source: Source, arrays: Arrays) -> Scores:
    """Return Dice of a source's tf_keras model by group and class, float64 [G, labels]."""
    metadata = source.metadata
    predicted = label_inputs(_predict(source, arrays), arrays.originals, metadata)
    pairs = zip(arrays.labels, predicted, strict=True)
    counts = [confusion_by_image(truth[None], one[None], metadata.labels, metadata.multi_label) for truth, one in pairs]
    return dice(pool_by_group(np.concatenate(counts), arrays.groups))


def session_scores(session: Session, arrays: Arrays, step: Step = idle) -> Scores:
    """Return Dice of a session by group and class, float64 [G, labels]."""
    predicted, metadata = predict_labels(session, arrays.images, step, arrays.originals), session.metadata
    return dice_by_group(arrays.labels, predicted, arrays.groups, metadata.labels, metadata.multi_label)


def file_scores(path: Path, arrays: Arrays, progress: Progress) -> Scores:
    """Return Dice of an exported file by group and class, float64 [G, labels]."""
    step = progress(f"Validate {path.name}", len(arrays.stems))
    return session_scores(open_session(path, scoring_threads(path), max_memory_mb=None), arrays, step)


def mean_dice(scores: Scores) -> float:
    """Return the mean foreground Dice of [G, labels] as a report has it, 0..1; 0 where there is no foreground anywhere."""
    mean = float(mean_over_foreground(scores))
    return 0.0 if math.isnan(mean) else mean


def float_model_dice(source: Source, arrays: Arrays) -> float:
    """Return the mean foreground Dice of a source's tf_keras model, 0..1."""
    return mean_dice(float_model_scores(source, arrays))


def check_loss_of(scores: Scores, reference: Scores, allowed: float, arrays: Arrays) -> LossCheck:
    """Return the check of a network's scores against the original float model's, on the images of `arrays`."""
    return check_loss(reference, scores, allowed, len(set(arrays.stems)))


def _predict(source: Source, arrays: Arrays) -> Iterator[npt.NDArray[Any]]:
    """Return the probabilities float32 [H, W, K] of each input."""
    step = BATCH * max(1, MAP_BYTES // (BATCH * 4 * arrays.labels[0].size * source.metadata.channels_out))
    for first in range(0, len(arrays.images), step):
        yield from source.model.predict(arrays.images[first : first + step], batch_size=BATCH, verbose=0)
