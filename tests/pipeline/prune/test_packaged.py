"""With a packaged table plans come from the table alone: nothing is timed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.any_size_tables import forbid_timing, pretend_avx2
from tests.support.pruning_runs import TIMED, recipe
from tests.support.recorded_progress import RecordedProgress
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.latency.table.packaged import packaged_table
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.pipeline.budgets import CLOSE, LATENCY
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import open_staging
from u3p_edge.recipes.recipe import Pruning

FASTER = Pruning(speedup=2, updates=0, final_updates=0)


def test_a_plan_by_the_packaged_table_times_nothing(
    source: Source, data: ExportData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_avx2(monkeypatch, tmp_path)
    forbid_timing(monkeypatch)
    stages = RecordedProgress()
    context = Context(source, data, recipe(FASTER, profile=False), open_staging(tmp_path / "run", "key"), stages)
    result = prune_source(context)
    assert TIMED not in stages.names
    assert result.table == packaged_table("int8")
    floats = packaged_table("float32")
    assert floats is not None
    assert result.table is not None
    whole = fold_batch_norm(source.graph)
    before, after = Predictor(floats).predict(whole).total_ms, Predictor(result.table).predict(result.after).total_ms
    (step,) = result.steps
    assert step.reached == {LATENCY: pytest.approx(after)}
    assert after <= before / 2 * (1 + CLOSE)
    assert result.notes[0].startswith("What channels cost comes from the latency table of x86_avx2 processors")
