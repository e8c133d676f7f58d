"""How a training run reports its progress."""

from __future__ import annotations

from typing import Protocol

from u3p_edge.training.state import EpochRecord, RunState


class Progress(Protocol):
    """Receives the events of a training run; must not change anything."""

    def begin(self, state: RunState, steps: int) -> None:
        """Training starts or continues after `state.epoch` epochs of `steps` steps each."""

    def step(self, epoch: int, step: int, loss: float) -> None:
        """A step (from 1) of an epoch (from 1) is done."""

    def end_epoch(self, record: EpochRecord, best: bool, gate_frozen: bool) -> None:
        """An epoch is done and safe on disk; it may be the best so far, or have frozen the classification-guided module."""


class Silent:
    """Ignores all events."""

    def begin(self, state: RunState, steps: int) -> None:
        """Do nothing."""

    def step(self, epoch: int, step: int, loss: float) -> None:
        """Do nothing."""

    def end_epoch(self, record: EpochRecord, best: bool, gate_frozen: bool) -> None:
        """Do nothing."""
