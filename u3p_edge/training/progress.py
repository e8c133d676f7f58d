"""What a training run tells while it runs."""

from __future__ import annotations

from typing import Protocol

from u3p_edge.training.state import EpochRecord, RunState


class Progress(Protocol):
    """Is told of every step; must not change anything."""

    def begin(self, state: RunState, steps: int) -> None:
        """Training starts or goes on after `state.epoch` epochs of `steps` steps each."""

    def step(self, epoch: int, step: int, loss: float) -> None:
        """A step (from 1) of an epoch (from 1) is done."""

    def end_epoch(self, record: EpochRecord, best: bool, gate_frozen: bool) -> None:
        """An epoch is done and safe on disk; whether it is the best so far, and froze the classification-guided module."""


class Silent:
    """Says nothing."""

    def begin(self, state: RunState, steps: int) -> None:
        """Nothing."""

    def step(self, epoch: int, step: int, loss: float) -> None:
        """Nothing."""

    def end_epoch(self, record: EpochRecord, best: bool, gate_frozen: bool) -> None:
        """Nothing."""
