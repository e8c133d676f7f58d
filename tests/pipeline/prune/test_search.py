"""How far pruning goes: channels come back where a network loses too much, and a search that was killed goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.pruning_runs import ASKED, EPOCH, PLANNED, TIMED, TUNED, channels, recipe, to
from tests.support.recorded_progress import RecordedProgress
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.pipeline.budgets import LATENCY, int8_milliseconds
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.pruning_result import PruningResult, PruningStep
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import DECISION, Staging, open_staging
from u3p_edge.pipeline.validation import float_model_dice
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.plan import PruningPlan

# --- what is lost


def test_without_retries_the_last_good_network_is_taken(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path
) -> None:
    wanted = recipe(to(unpruned_ms / 3, importance="random", retries=0), max_drop=0)
    result = prune_source(Context(source, data, wanted, open_staging(tmp_path, "key"), device=device))
    assert [(step.share, step.kept) for step in result.steps] == [(1, False)]
    assert result.source is source


def fell_short(step: PruningStep, found: PruningResult, max_drop: float) -> bool:
    assert found.float_dice is not None
    return 100 * (found.float_dice - step.dice) > max_drop


def test_a_network_that_may_lose_nothing_keeps_its_channels(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path
) -> None:
    wanted = recipe(to(unpruned_ms / 3, importance="random"), max_drop=0)
    result = prune_source(Context(source, data, wanted, open_staging(tmp_path, "key"), device=device))
    assert all(fell_short(step, result, 0) for step in result.steps), "channels by chance, and nothing learnt"
    assert [step.share for step in result.steps] == [1, 0.5, 0.25]
    assert wanted.pruning is not None
    assert len(result.steps) == 1 + wanted.pruning.retries
    reached = [step.reached[LATENCY] for step in result.steps]
    assert reached == sorted(reached), "each time half-way back"
    assert not any(step.kept for step in result.steps)
    assert result.source is source
    assert result.plan == PruningPlan()
    assert channels(result.before) == channels(result.after)
    assert sum("**not kept: more than the 0 points that it may lose**" in note for note in result.notes) == 3
    assert result.notes[-1] == "**No plan kept enough: the network has all its channels.**"


@pytest.mark.slow  # the tests above fall back, and `test_shares.py` goes by steps
def test_what_was_good_enough_before_is_kept(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path
) -> None:
    pruning = to(unpruned_ms / 3, importance="random", steps=2)
    all_of_it = prune_source(Context(source, data, recipe(pruning), open_staging(tmp_path / "a", "key"), device=device))
    assert [(step.share, step.kept) for step in all_of_it.steps] == [(0.5, True), (1, True)]
    # Both cuts are one plan in the first network's channels: nothing was trained, so its weights are those that are left.
    for node in apply_plan(source.graph, all_of_it.plan).nodes:
        for name, array in node.weights.items():
            np.testing.assert_array_equal(all_of_it.source.graph[node.name].weights[name], array)
    first, second = (100 * (float_model_dice(source, data.val) - step.dice) for step in all_of_it.steps)
    assert first < second
    wanted = recipe(pruning, max_drop=(first + second) / 2)
    result = prune_source(Context(source, data, wanted, open_staging(tmp_path / "b", "key"), device=device))
    assert [step.share for step in result.steps] in ([0.5, 1, 0.75], [0.5, 1, 0.75, 0.625])
    assert [step.kept for step in result.steps] == [not fell_short(step, result, wanted.max_drop) for step in result.steps]
    assert [step.kept for step in result.steps[:2]] == [True, False]
    last = [step for step in result.steps if step.kept][-1]
    assert float_model_dice(result.source, data.val) == last.dice
    # Steps that were not kept left nothing: the plan is that of the kept ones alone, in the first network's channels.
    assert channels(result.source.graph) == channels(apply_plan(source.graph, result.plan))
    assert channels(result.after) != channels(all_of_it.after)
    assert "is not met" in result.notes[-1]


@pytest.mark.slow  # two prunings with training
def test_the_way_goes_on_from_a_network_that_has_lost_too_much_for_now(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path
) -> None:
    pruning = to(unpruned_ms / 2, importance="random", steps=2, final_updates=8 * EPOCH, retries=0)
    free = prune_source(Context(source, data, recipe(pruning), open_staging(tmp_path / "a", "key"), device=device))
    assert free.float_dice is not None
    first, last = (100 * (free.float_dice - step.dice) for step in free.steps)
    assert last < first, "what was trained lost less than what was not"
    wanted = recipe(pruning, max_drop=(first + last) / 2)
    result = prune_source(Context(source, data, wanted, open_staging(tmp_path / "b", "key"), device=device))
    assert [(step.share, step.kept) for step in result.steps] == [(0.5, False), (1, True)]
    assert channels(result.source.graph) == channels(free.source.graph)
    assert "a step on the way" in result.notes[0]
    assert result.notes[-1].endswith("kept.")


# --- again


@pytest.mark.slow  # `tests/distill` resumes the training that is most of it
def test_pruning_that_was_killed_goes_on_without_a_new_plan(source: Source, data: ExportData, tmp_path: Path) -> None:
    wanted = recipe(to(int8_milliseconds()(fold_batch_norm(source.graph)) / 2, final_updates=2 * EPOCH))
    # The fourth step is the second epoch's first.
    staging, killed = open_staging(tmp_path / "a", "key"), RecordedProgress(interrupt_at=(TUNED, 4))
    with pytest.raises(KeyboardInterrupt):
        prune_source(Context(source, data, wanted, staging, killed))
    assert {PLANNED, ASKED, TIMED} <= set(killed.names)
    plan = staging.folder / "prune0" / f"plan{DECISION}"
    before = plan.read_bytes(), plan.stat().st_mtime_ns
    other = Staging(Path(shutil.copytree(staging.folder, tmp_path / "b")))
    (other.folder / "prune0" / "recover.safetensors").unlink()
    again = RecordedProgress()
    result = prune_source(Context(source, data, wanted, staging, again))
    assert (plan.read_bytes(), plan.stat().st_mtime_ns) == before
    assert not set(again.names) & {PLANNED, ASKED}
    assert [steps for name, steps in again.stages if name == TUNED] == [3], "one epoch of the two was done"
    # As far as one that nothing stopped, to the last bit.
    unbroken = prune_source(Context(source, data, wanted, other))
    assert result.steps == unbroken.steps
    for ours, theirs in zip(result.source.model.get_weights(), unbroken.source.model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
