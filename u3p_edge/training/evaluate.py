"""A network's scores on a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from u3p_edge.data.load import Arrays
from u3p_edge.data.preprocess import to_labels
from u3p_edge.metrics import Counts, Scores, confusion, dice, iou
from u3p_edge.models.cgm import gate_channel, presence
from u3p_edge.training.trainer import Trainer


@dataclass(frozen=True)
class Evaluation:
    """Scores of one split; the counts are of all its pixels together.

    Args:
        loss: segmentation loss, mean over the images; pixels that are ignored do not count.
        counts: int64 [labels, 3], see `u3p_edge.metrics.confusion`.
        gated_counts: the same with each activated mask multiplied by the gate, as the exported network does it.
        gate_loss, gate_accuracy: of the classification-guided module, see `EpochRecord`; None without one.
    """

    loss: float
    counts: Counts
    gated_counts: Counts | None = None
    gate_loss: float | None = None
    gate_accuracy: float | None = None

    @property
    def mean_dice(self) -> float:
        """Over the foreground labels that are in truth or prediction."""
        return mean_foreground(dice(self.counts))

    @property
    def mean_iou(self) -> float:
        """As `mean_dice`."""
        return mean_foreground(iou(self.counts))


def evaluate(trainer: Trainer, arrays: Arrays) -> Evaluation:
    """Run the network over a split, in batches of the recipe's size."""
    config, labels = trainer.config, trainer.recipe.metadata().labels
    counts = gated = np.zeros((labels, 3), np.int64)
    losses, gate_losses, right = [], [], []
    for start in range(0, len(arrays.images), trainer.recipe.batch_size):
        part = slice(start, start + trainer.recipe.batch_size)
        truth = arrays.labels[part]
        masks, loss, gates, gate_loss = (t.numpy() for t in trainer.evaluate(arrays.images[part], truth))
        losses.append(loss)
        counts = counts + _count(truth, masks, labels)
        if config.cgm:
            gate_losses.append(gate_loss)
            channel = gate_channel(config.classes, config.cgm_units)
            gates = gates if channel is None else gates[:, [channel]]
            gated = gated + _count(truth, masks * gates[:, None, None, :], labels)
            right.append(_right(gates, truth, config.classes))
    loss = float(np.concatenate(losses).mean())
    if not config.cgm:
        return Evaluation(loss, counts)
    return Evaluation(loss, counts, gated, float(np.concatenate(gate_losses).mean()), float(np.concatenate(right).mean()))


def mean_foreground(scores: Scores) -> float:
    """Mean of per-label scores without the background's and without labels that are nowhere; 0 if there are none."""
    foreground = scores[1:]
    there = foreground[~np.isnan(foreground)]
    return float(there.mean()) if there.size else 0.0


def _count(truth: np.ndarray, masks: np.ndarray, labels: int) -> Counts:
    return confusion(truth, np.stack([to_labels(mask) for mask in masks]), labels)


def _right(gates: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """Whether each answer about a foreground label is right: bool [N, foreground labels]."""
    one_hot = truth[..., None] == np.arange(classes) if classes > 1 else truth[..., None] == 1
    there = presence(tf.cast(one_hot, tf.float32), classes).numpy() >= 0.5
    first = 1 if classes > 1 else 0
    return np.asarray((gates >= 0.5) == there)[:, first:]
