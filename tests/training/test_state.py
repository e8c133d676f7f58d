from __future__ import annotations

import dataclasses

import pytest

from u3p_edge.training.recipe import TrainRecipe
from u3p_edge.training.state import EpochRecord, RunState, gate_overfits


def run(dices: list[float], gates: list[float] | None = None, **options: object) -> RunState:
    """A run with these validation scores, its records made one after another as the loop makes them."""
    state = RunState(dataclasses.replace(TrainRecipe(epochs=10), **options), "")  # type: ignore[arg-type]
    for i, dice in enumerate(dices):
        gate = gates[i] if gates else None
        state = state.after(EpochRecord(i + 1, 0.1, 1.0, 1.0, (1.0, dice), dice, gate, None, gate_trained=state.gate_live))
    return state


def test_the_best_epoch_is_the_first_of_the_highest_dice() -> None:
    assert run([]).best_epoch == 0
    assert run([0.1, 0.5, 0.3, 0.5]).best_epoch == 2


@pytest.mark.parametrize(
    ("dices", "patience", "stopped"),
    [([0.5, 0.4, 0.4], 3, False), ([0.5, 0.4, 0.4, 0.4], 3, True), ([0.5, 0.4, 0.4, 0.6], 3, False), ([0.5] * 9, 0, False)],
)
def test_training_stops_after_so_many_epochs_without_a_better_dice(dices: list[float], patience: int, stopped: bool) -> None:
    assert run(dices, patience=patience).stopped_early is stopped


def test_a_run_is_finished_after_its_last_epoch() -> None:
    assert not run([0.1] * 9, patience=0).finished
    assert run([0.1] * 10, patience=0).finished


@pytest.mark.parametrize(
    ("losses", "patience", "overfits"),
    [
        ([], 2, False),
        ([3.0, 2.0, 1.0], 2, False),
        ([1.0, 2.0], 2, False),
        ([1.0, 2.0, 1.5], 2, True),
        ([1.0, 2.0, 0.5, 0.6], 2, False),
        ([1.0, 2.0, 3.0, 4.0], 0, False),
    ],
)
def test_the_gate_overfits_when_its_loss_stays_above_its_best(losses: list[float], patience: int, overfits: bool) -> None:
    assert gate_overfits(losses, patience) is overfits


def test_a_frozen_gate_stays_frozen_while_segmentation_goes_on() -> None:
    state = run([0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.6, 0.7, 0.1, 0.1], cgm=True, gate_patience=2)
    assert [r.gate_trained for r in state.history] == [True, True, True, False, False]
    assert not state.gate_live
    assert state.gate_best_epoch == 1, "losses of a frozen gate say nothing about its weights"
    assert state.best_epoch == 5
    assert not state.finished


def test_without_the_module_there_is_no_gate_to_train() -> None:
    assert not run([0.1]).gate_live
