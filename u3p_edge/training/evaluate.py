"""The scores of a network on a split."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
import tensorflow as tf

from u3p_edge.data.load import Arrays
from u3p_edge.data.tiled_labels import label_inputs
from u3p_edge.metrics import Counts, Scores, confusion_by_image, dice, iou, mean_over_groups, pool_by_group
from u3p_edge.models.cgm import gate_channel, presence
from u3p_edge.models.config import UNet3PlusConfig
from u3p_edge.models.truth import one_hot
from u3p_edge.training.trainer import Trainer


@dataclass(frozen=True)
class Evaluation:
    """Scores of one split; Dice and IoU as in a report, see `u3p_edge.metrics.mean_over_groups`.

    Args:
        loss: segmentation loss, mean over the images; pixels that are ignored do not count.
        counts: int64 [G, labels, 3], see `u3p_edge.metrics.confusion_by_group`.
        gated_counts: the same with each activated mask multiplied by the gate, as the exported network does it.
        gate_loss, gate_accuracy: of the classification-guided module, see `EpochRecord`; None without one.
    """

    loss: float
    counts: Counts
    gated_counts: Counts | None = None
    gate_loss: float | None = None
    gate_accuracy: float | None = None

    @property
    def dice(self) -> Scores:
        """Dice of each label, background first: float64 [labels], NaN for a label in neither mask."""
        return mean_over_groups(dice(self.counts))

    @property
    def iou(self) -> Scores:
        """IoU of each label, as `dice`."""
        return mean_over_groups(iou(self.counts))

    @property
    def gated_dice(self) -> Scores | None:
        """Dice of each label with the gate, as `dice`; None without a gate."""
        return None if self.gated_counts is None else mean_over_groups(dice(self.gated_counts))

    @property
    def mean_dice(self) -> float:
        """Mean Dice over the foreground labels that are in truth or prediction."""
        return mean_foreground(self.dice)

    @property
    def mean_iou(self) -> float:
        """Mean IoU over the same labels as `mean_dice`."""
        return mean_foreground(self.iou)


def evaluate(trainer: Trainer, arrays: Arrays) -> Evaluation:
    """Run the network over a split, in batches of the recipe's size; return its scores."""
    config, metadata = trainer.config, trainer.recipe.metadata()
    losses, gate_losses, right = [], [], []

    def outputs() -> Iterator[tuple[np.ndarray, ...]]:
        """Yield the mask of each input, and with a gate the mask multiplied by it."""
        for start in range(0, len(arrays.images), trainer.recipe.batch_size):
            part = slice(start, start + trainer.recipe.batch_size)
            truth = arrays.labels[part]
            masks, loss, gates, gate_loss = (t.numpy() for t in trainer.evaluate(arrays.images[part], truth))
            losses.append(loss)
            if not config.cgm:
                yield from ((mask,) for mask in masks)
                continue
            gate_losses.append(gate_loss)
            channel = gate_channel(config.classes, config.cgm_units)
            gates = gates if channel is None else gates[:, [channel]]
            right.append(_right(gates, truth, config))
            yield from zip(masks, masks * gates[:, None, None, :], strict=True)

    # Both kinds of masks go through one input after the other, so the copies hold the tiles of an image at most.
    streams = itertools.tee(outputs(), 2 if config.cgm else 1)
    predicted = [label_inputs(map(itemgetter(k), one), arrays.originals, metadata) for k, one in enumerate(streams)]
    counts = [
        [confusion_by_image(truth[None], one[None], metadata.labels, metadata.multi_label) for one in both]
        for truth, *both in zip(arrays.labels, *predicted, strict=True)
    ]
    pooled, *gated = (pool_by_group(np.concatenate(kind), arrays.groups) for kind in zip(*counts, strict=True))
    loss = float(np.concatenate(losses).mean())
    if not config.cgm:
        return Evaluation(loss, pooled)
    gate_loss, gate_accuracy = (float(np.concatenate(values).mean()) for values in (gate_losses, right))
    return Evaluation(loss, pooled, gated[0], gate_loss, gate_accuracy)


def mean_foreground(scores: Scores) -> float:
    """Return the mean of per-label scores, without the background and labels that occur nowhere; 0 if there are none."""
    foreground = scores[1:]
    there = foreground[~np.isnan(foreground)]
    return float(there.mean()) if there.size else 0.0


def _right(gates: np.ndarray, truth: np.ndarray, config: UNet3PlusConfig) -> np.ndarray:
    """Return whether each answer about a foreground label is right: bool [N, foreground labels]."""
    there = presence(one_hot(tf.constant(truth), config.classes, config.multi_label), config.classes).numpy() >= 0.5
    first = 0 if config.activation == "sigmoid" else 1
    return np.asarray((gates >= 0.5) == there)[:, first:]
