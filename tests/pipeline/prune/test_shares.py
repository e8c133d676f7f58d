"""Steps at given shares of the way: those that another export took are taken over, and no network is refused for its loss."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.pruning_runs import PLANNED, recipe, to
from tests.support.recorded_progress import RecordedProgress
from u3p_edge.pipeline.budgets import CLOSE, LATENCY
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.front_sharing import share_trainings
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.pruning_result import PruningResult
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import open_staging


def test_a_faster_network_takes_the_steps_of_a_slower_one(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path
) -> None:
    """A quarter of the time is half of the time twice, so half-way to it is the other network's budget."""
    shared = open_staging(tmp_path / "shared", "key").folder

    def prune(folder: str, share: float, shares: tuple[float, ...]) -> tuple[PruningResult, RecordedProgress]:
        stages = RecordedProgress()
        wanted = recipe(to(share * unpruned_ms, shares=shares, fallback=False, retries=0), max_drop=0)
        context = Context(source, data, wanted, open_staging(tmp_path / folder, "key"), stages, device=device)
        with share_trainings(shared, context):
            return prune_source(context), stages

    slow, _ = prune("slow", 0.5, ())
    fast, stages = prune("fast", 0.25, (0.5,))
    assert stages.names == [PLANNED, "Score channels", "Fine-tune by distillation"], "the teacher and the first plan are there"
    assert [step.share for step in fast.steps] == [0.5, 1.0]
    assert fast.steps[0].reached == slow.steps[0].reached
    assert fast.steps[0].reached[LATENCY] == pytest.approx(0.5 * unpruned_ms, rel=CLOSE)
    assert fast.steps[1].reached[LATENCY] == pytest.approx(0.25 * unpruned_ms, rel=CLOSE)
    assert fast.steps[0].dice == slow.steps[0].dice
    assert all(step.kept for step in (*slow.steps, *fast.steps)), "nothing may be lost, and there is no fallback"
    assert fast.source.parameters < slow.source.parameters < source.parameters
