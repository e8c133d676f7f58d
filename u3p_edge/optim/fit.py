"""The one training loop: epochs of steps, a validation after each, and the best epoch's weights.

It knows neither the network nor the loss. Training, distillation, quantization-aware training and pruning to zeros give it
functions, and differ in these alone. No TensorFlow here.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.metrics import rank_score


class State(Protocol):
    """A run after its last finished epoch: an immutable value."""

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""

    @property
    def best_epoch(self) -> int:
        """The best epoch so far, counted from 1; 0 is the network before training."""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to train."""


@dataclass(frozen=True)
class History:
    """The state of a run that one score judges.

    Args:
        epochs: to be trained in all.
        scores: before training and after each epoch, larger is better; one that is not a number counts as the worst, -inf.
        losses: of each finished epoch, mean over its steps.
        keep_epoch: the epoch that counts as the best, whatever the scores are, and the last to be trained; None where the
            scores decide.
    """

    epochs: int
    scores: tuple[float, ...]
    losses: tuple[float, ...] = ()
    keep_epoch: int | None = None

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.losses)

    @property
    def best_epoch(self) -> int:
        """The first epoch with the highest score, or `keep_epoch` once it is reached; 0 is the network before training."""
        return self.scores.index(max(self.scores)) if self.keep_epoch is None else min(self.keep_epoch, self.epoch)

    @property
    def finished(self) -> bool:
        """Whether all epochs are trained that can be kept."""
        return self.epoch >= (self.epochs if self.keep_epoch is None else self.keep_epoch)

    def after(self, loss: float, score: float) -> History:
        """Return the history one epoch later."""
        return replace(self, scores=(*self.scores, rank_score(float(score))), losses=(*self.losses, loss))


@dataclass(frozen=True)
class TrainedEpoch:
    """What the steps of one epoch gave.

    Args:
        loss: mean over the steps.
        rate: learning rate of the last step.
        began: `time.monotonic()` before the first step.
    """

    loss: float
    rate: float
    began: float


S = TypeVar("S", bound=State)
Batch = TypeVar("Batch")
Best = TypeVar("Best")


def fit(
    state: S,
    best: Best,
    *,
    batches: Callable[[S], Iterable[Batch]],
    steps: int,
    rate: Callable[[int], float],
    step: Callable[[S, Batch, float, int], float],
    validate: Callable[[S, TrainedEpoch], S],
    keep_best: Callable[[], Best],
    save: Callable[[S, Best], object] = lambda _state, _best: None,
    progress: Callable[[int, int, float], object] = lambda _epoch, _step, _loss: None,
    mend: str | None = None,
) -> tuple[S, Best]:
    """Train until the state is finished; return the last state and what was kept of the best epoch.

    Args:
        state: of the run so far: new, or read from a checkpoint.
        best: what was kept of its best epoch.
        batches: of the epoch that follows a state.
        steps: number of batches in an epoch.
        rate: learning rate of a step, counted from 0 over the whole run.
        step: takes one step of gradient descent, given the state at the epoch's beginning, a batch, the learning rate and the
            step's number in the whole run, from 0; returns the loss.
        validate: returns the state one epoch later.
        keep_best: returns a copy of the network's weights, or whatever brings them back. It is called after each epoch that is
            the best so far.
        save: called after each epoch with the new state and what is kept of the best, to write a checkpoint.
        progress: called after each step with the epoch and the step in it, both from 1, and the loss.
        mend: the advice of the error that a loss which is not finite raises. None raises none and goes on; the validation then
            decides.

    Raises:
        ModelError: a loss is not finite, and `mend` is given.
    """
    while not state.finished:
        began, losses, first = time.monotonic(), [], state.epoch * steps
        for number, batch in enumerate(batches(state)):
            loss = step(state, batch, rate(first + number), first + number)
            if mend is not None and not math.isfinite(loss):
                raise ModelError(f"the loss is not finite at epoch {state.epoch + 1}, step {number + 1}", mend=mend)
            losses.append(loss)
            progress(state.epoch + 1, number + 1, loss)
        state = validate(state, TrainedEpoch(float(np.mean(losses)), rate(first + len(losses) - 1), began))
        best = keep_best() if state.best_epoch == state.epoch else best
        save(state, best)
    return state, best


def check_keep_epoch(keep_epoch: int | None, epochs: int) -> None:
    """Raise ConfigError for an epoch to keep that a run of `epochs` epochs does not have."""
    if keep_epoch is not None and not 0 <= keep_epoch <= epochs:
        raise ConfigError(f"epoch {keep_epoch} cannot be kept of {epochs} epochs", mend=f"It is 0 to {epochs}.")


def shuffled_batches(count: int, batch_size: int, seed: int, epoch: int) -> list[npt.NDArray[np.intp]]:
    """Return the indices of the images of each batch of an epoch, in increasing order within a batch.

    Args:
        count: number of images. batch_size: images in a batch; the last batch may have fewer.
        seed: of the orders. epoch: from 1; each has another order.

    Returns:
        Arrays of integers that together hold each of 0 .. count - 1 once.
    """
    rng = np.random.default_rng(seed)
    order = [rng.permutation(count) for _ in range(epoch)][-1]
    return [np.sort(order[start : start + batch_size]) for start in range(0, count, batch_size)]
