"""One epoch of training: its steps, its evaluation, and the best weights of the gate (the classification-guided module)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import tensorflow as tf

from u3p_edge.data.load import Arrays
from u3p_edge.optim.fit import TrainedEpoch
from u3p_edge.training.checkpoint import Tensors
from u3p_edge.training.evaluate import evaluate
from u3p_edge.training.logs import with_none
from u3p_edge.training.state import EpochRecord, RunState
from u3p_edge.training.trainer import Trainer

Batch = tuple[tf.Tensor, tf.Tensor]
"""Images float32 [N, H, W, C] and labels uint8 [N, H, W]."""


@dataclass(frozen=True)
class TrainingRun:
    """A run after its last finished epoch, as `u3p_edge.optim.fit` takes it.

    Args:
        state: recipe and history.
        gate: the gate's weights of its best epoch, "model/NAME"; empty before there is one.
    """

    state: RunState
    gate: Tensors = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return self.state.epoch

    @property
    def best_epoch(self) -> int:
        """The epoch with the highest mean Dice, from 1; 0 before the first."""
        return self.state.best_epoch

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""
        return self.state.finished


def gradient_step(trainer: Trainer, frozen: int) -> Callable[[TrainingRun, Batch, float, int], float]:
    """Return one update, which gives the segmentation loss; where only the gate's loss is not finite, it gives that one.

    Args:
        trainer: of the network.
        frozen: number of steps in which a backbone stays as it is.
    """

    def step(run: TrainingRun, batch: Batch, rate: float, number: int) -> float:
        loss, gate_loss = trainer.train_step(*batch, rate, number, train_gate=run.state.gate_live, frozen=frozen)
        return loss if math.isfinite(gate_loss) else gate_loss

    return step


def validate(trainer: Trainer, run: TrainingRun, epoch: TrainedEpoch, validation: Arrays) -> TrainingRun:
    """Evaluate the network after an epoch; return the run one epoch later.

    Args:
        trainer: with the network as the epoch left it; its gate gets its best weights back where the gate is frozen.
        run: before the epoch.
        epoch: what its steps gave.
        validation: the split that is evaluated.
    """
    evaluation = evaluate(trainer, validation)
    record = EpochRecord(
        epoch=run.epoch + 1,
        learning_rate=epoch.rate,
        train_loss=epoch.loss,
        validation_loss=evaluation.loss,
        dice=with_none(evaluation.dice),
        mean_dice=evaluation.mean_dice,
        gate_loss=evaluation.gate_loss,
        gate_accuracy=evaluation.gate_accuracy,
        gate_trained=run.state.gate_live,
        seconds=time.monotonic() - epoch.began,
    )
    state = run.state.after(record)
    return TrainingRun(state, keep_gate(trainer, state, run.gate))


def keep_gate(trainer: Trainer, state: RunState, gate: Tensors) -> Tensors:
    """Return the gate's best weights after an epoch, given those before it; with a gate that is not trained, the same.

    When the gate has just overfitted, its best weights are put back into the network, for good.
    """
    if not state.history[-1].gate_trained:
        return gate
    if state.gate_best_epoch == state.epoch:
        gate = trainer.weights(gate_only=True)
    if not state.gate_live:
        trainer.set_weights(gate, gate_only=True)
    return gate
