"""How far a training run is: its history, and what follows from it. No TensorFlow here.

The history alone decides: the best epoch, whether to stop, and whether the classification-guided module is frozen are
functions of it, so nothing can disagree with it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from u3p_edge.training.recipe import TrainRecipe


@dataclass(frozen=True)
class EpochRecord:
    """The results of one epoch.

    Args:
        epoch: from 1.
        learning_rate: of its last step.
        train_loss: segmentation loss, mean over its steps.
        validation_loss: segmentation loss, mean over the validation images.
        dice: of each label on the validation images, background first, pooled by group and averaged over groups, 0..1; None for
            a label in neither mask.
        mean_dice: over the foreground labels: what "best" means.
        gate_loss, gate_accuracy: of the classification-guided module on the validation images: binary cross-entropy, and
            the share of right answers (at 0.5) about foreground labels. None without the module.
        gate_trained: whether the module was trained in this epoch.
        seconds: duration of the epoch.
    """

    epoch: int
    learning_rate: float
    train_loss: float
    validation_loss: float
    dice: tuple[float | None, ...]
    mean_dice: float
    gate_loss: float | None = None
    gate_accuracy: float | None = None
    gate_trained: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class RunState:
    """A run after its last finished epoch.

    Args:
        recipe: its options.
        data: sha256 of its images and masks.
        history: one record per epoch.
    """

    recipe: TrainRecipe
    data: str
    history: tuple[EpochRecord, ...] = ()

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """The first epoch with the highest mean Dice; 0 before the first."""
        return max(self.history, key=lambda r: r.mean_dice).epoch if self.history else 0

    @property
    def stopped_early(self) -> bool:
        """Whether the Dice has not risen for `patience` epochs."""
        return 0 < self.recipe.patience <= self.epoch - self.best_epoch

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.stopped_early or self.epoch >= self.recipe.epochs

    @property
    def gate_live(self) -> bool:
        """Whether the classification-guided module is to be trained in the next epoch."""
        return self.recipe.cgm and not gate_overfits(_gate_losses(self), self.recipe.gate_patience)

    @property
    def gate_best_epoch(self) -> int:
        """The epoch with the module's lowest validation loss while it was trained; 0 before the first."""
        losses = _gate_losses(self)
        return losses.index(min(losses)) + 1 if losses else 0

    def after(self, record: EpochRecord) -> RunState:
        """Return the state one epoch later."""
        return dataclasses.replace(self, history=(*self.history, record))


def gate_overfits(losses: Iterable[float], patience: int) -> bool:
    """Return whether the last `patience` validation losses all lie above an earlier one; never for a patience of 0."""
    best, risen = float("inf"), 0
    for loss in losses:
        best, risen = (loss, 0) if loss < best else (best, risen + 1)
    return 0 < patience <= risen


def _gate_losses(state: RunState) -> list[float]:
    """Return the validation losses of the epochs in which the module was trained."""
    return [r.gate_loss for r in state.history if r.gate_trained and r.gate_loss is not None]
