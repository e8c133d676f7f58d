"""Budgets of size and memory, of devices that are not here, and what is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from tests.support.command_line import ROUNDS, Program, left_in, refusal
from tests.support.pruning_runs import ASKED, PLANNED, TUNED, recipe, to
from tests.support.recorded_progress import RecordedProgress
from u3p_edge.errors import ArtifactError, ConfigError, ModelError
from u3p_edge.graph import memory
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.latency.probe import Target, to_file
from u3p_edge.latency.table.measure import measure_table
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import LatencyTable, read_latency_table, write_latency_table
from u3p_edge.pipeline.budgets import ARENA, CLOSE, LATENCY, MB, SIZE
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.pruning_result import node_milliseconds
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import open_staging
from u3p_edge.progress import silent
from u3p_edge.recipes.recipe import Pruning

# --- budgets of other kinds, other devices


def test_for_another_device_nothing_is_timed_here(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path
) -> None:
    stages = RecordedProgress()
    result = prune_source(
        Context(source, data, recipe(to(unpruned_ms / 2)), open_staging(tmp_path, "key"), stages, device=device)
    )
    assert set(stages.names) == {ASKED, PLANNED, "Score channels", TUNED}
    assert result.table == read_latency_table(device)
    (step,) = result.steps
    predicted = Predictor(result.table).predict(result.after)
    # What the plan's network was said to take, and the trained one's of the same shapes: the same sum.
    assert step.reached == {LATENCY: pytest.approx(predicted.total_ms)}
    assert step.reached[LATENCY] <= unpruned_ms / 2 * (1 + CLOSE)
    assert sum(node_milliseconds(result)[1].values()) == pytest.approx(predicted.total_ms)


def test_a_size_is_that_of_the_int8_file(source: Source, data: ExportData, device: Path, tmp_path: Path) -> None:
    wanted = recipe(Pruning(shrink=4, updates=0, final_updates=0))
    result = prune_source(Context(source, data, wanted, open_staging(tmp_path, "key"), device=device))
    (step,) = result.steps
    whole = len(to_file(fold_batch_norm(source.graph), "float32")) / MB
    assert step.reached == {SIZE: len(to_file(result.after, "int8")) / MB}
    # Within what was asked for; how near the plan comes to less, which leaves room for rewriting, is no promise here: a file
    # this small is to a half something else than weights.
    assert step.reached[SIZE] <= whole / 4
    assert result.source.parameters < source.parameters


def test_an_arena_that_no_tiles_meet_takes_channels(
    source: Source, data: ExportData, device: Path, unpruned_ms: float, tmp_path: Path
) -> None:
    """The latency is met as it is: only memory asks for anything."""
    stripped = memory.plan_memory(fold_batch_norm(source.graph), bytes_per_element=1).peak / MB
    for budget, steps in ((stripped, 0), (stripped / 8, 1)):
        wanted = recipe(to(2 * unpruned_ms), memory_budget_mb=budget)
        result = prune_source(Context(source, data, wanted, open_staging(tmp_path / f"{budget}", "key"), device=device))
        assert len(result.steps) == steps
    assert result.steps[0].reached.keys() == {ARENA}
    assert result.steps[0].reached[ARENA] <= stripped / 8 * (1 + CLOSE)


@pytest.mark.slow  # `tests/latency/table/test_measure.py` times a table, the tests above go by one
def test_a_table_that_was_timed_on_a_device_is_gone_by(source: Source, data: ExportData, tmp_path: Path) -> None:
    timed = measure_table(fold_batch_norm(source.graph), Target("int8"), silent, quick=True, checks=0)
    write_latency_table(tmp_path / "device.json", timed)
    whole = Predictor(timed).predict(fold_batch_norm(source.graph)).total_ms
    wanted = recipe(to(0.7 * whole))
    result = prune_source(Context(source, data, wanted, open_staging(tmp_path, "key"), device=tmp_path / "device.json"))
    reached = result.steps[0].reached[LATENCY]
    assert reached < whole
    # A quick table tells of no fewer than 8 channels, so how far down it goes is the machine's.
    assert (reached > 1.1 * 0.7 * whole) == ("is not met" in result.notes[-1])


# --- what is refused


def test_a_speedup_on_another_device_is_refused(source: Source, data: ExportData, device: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"whose time on that device is not known. Give --latency-budget-ms"):
        prune_source(Context(source, data, recipe(Pruning(speedup=2)), open_staging(tmp_path, "key"), device=device))


def test_a_table_without_one_of_the_layers_is_refused_by_its_name(
    source: Source, data: ExportData, table: LatencyTable, tmp_path: Path
) -> None:
    lacking = tmp_path / "lacking.json"
    write_latency_table(
        lacking, dataclasses.replace(table, layers=tuple(t for t in table.layers if not t.key.startswith("upsample")))
    )
    with pytest.raises(ModelError, match=r"dec1_from_enc2_up.*u3p-edge device profile"):
        prune_source(Context(source, data, recipe(to(1e-3)), open_staging(tmp_path, "key"), device=lacking))
    (tmp_path / "text.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"text\.json is no latency table"):
        prune_source(Context(source, data, recipe(to(1e-3)), open_staging(tmp_path, "key"), device=tmp_path / "text.json"))


def test_the_command_refuses_in_one_sentence_and_leaves_nothing(
    program: Program, wide: Path, pictures: Path, device: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ("export", wide, "--int8", "--data", pictures, "--out", out, "--device", device, *ROUNDS)
    message = refusal(program(*arguments, "--recipe", "exact", "--speedup", 2))
    assert message.endswith("whose time on that device is not known. Give --latency-budget-ms.")
    assert left_in(out) == []
