"""An export leaves a lock of all that decided its files, and another export replays it to the last byte, without timing."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from tests.support.busy import busy_machine
from tests.support.pruning_runs import ANYTHING, ASKED, EPOCH, PLANNED, TIMED, TUNED, to
from tests.support.recipes import make_recipe
from tests.support.recorded_progress import RecordedProgress
from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.atomic import read_json, write_json
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.manifest import read_manifest, sha256_of
from u3p_edge.pipeline.budgets import int8_milliseconds
from u3p_edge.pipeline.export import export
from u3p_edge.pipeline.lock import Lock, check_recipe, compare_machines, read_lock
from u3p_edge.pipeline.plan import plan_export
from u3p_edge.pipeline.report_names import LOCK
from u3p_edge.pipeline.source import read_source
from u3p_edge.recipes.recipe import ExportRecipe

CHOOSING = (PLANNED, TIMED, "Choose rewrites")
"""How the stages begin in which something is timed or compared to choose."""


@pytest.fixture(scope="module")
def recipe(wide: Path) -> ExportRecipe:
    """Half the channels or so, a fine-tuning, and one epoch of quantization-aware training."""
    ms = int8_milliseconds()(fold_batch_norm(read_source(wide).graph))
    return make_recipe(pruning=to(ms / 2, final_updates=2 * EPOCH), max_drop=ANYTHING, rounds=5, qat_epochs=1, profile=True)


@pytest.fixture(scope="module")
def first(wide: Path, pictures: Path, recipe: ExportRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, stages = tmp_path_factory.mktemp("first") / "run", RecordedProgress()
    export(wide, pictures, run, recipe, progress=stages)
    assert {PLANNED, TUNED, ASKED} <= set(stages.names)
    assert any(name.startswith("Choose rewrites") for name in stages.names)
    return run


def model_files(run: Path) -> dict[str, str]:
    return {artifact.file: sha256_of(run / artifact.file) for artifact in read_manifest(run).artifacts}


def test_a_lock_lists_what_was_decided_and_what_came_of_it(first: Path, recipe: ExportRecipe) -> None:
    lock = read_lock(first / LOCK)
    assert lock.options == recipe
    assert dict(lock.files) == model_files(first)
    assert [origin.kind for origin in lock.origins] == ["float model", "training data", "validation data", "test data"]
    assert {"budgets", "prune0/plan", "prune0/epoch", "prune0/kept", "rewrites", "ptq_ranges", "method"} <= set(lock.decisions)
    assert set(lock.calibration) == {f"p{number}" for number in range(6)}
    assert lock.machine.versions["tensorflow"] != "none"
    assert any(report.file == LOCK for report in read_manifest(first).reports)


@pytest.mark.slow  # CI replays a whole export by its lock beside busy programs
def test_a_replay_beside_busy_programs_gives_the_same_bytes_and_times_nothing_to_choose(
    first: Path, wide: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("U3P_EDGE_CACHE", str(tmp_path / "cache"))  # what was timed before is not known
    run, stages = tmp_path / "run", RecordedProgress()
    with busy_machine():
        done = export(wide, pictures, run, locked=first / LOCK, progress=stages, rounds=6)
    assert [name for name in stages.names if name.startswith(CHOOSING)] == []
    assert TUNED in stages.names
    assert model_files(run) == model_files(first)
    assert "all 6 model files have the bytes that it lists" in done.notes[0]
    before, after = read_json(first / LOCK), read_json(run / LOCK)
    assert after["recipe"]["measurement"]["rounds"] == 6
    assert {**before, "recipe": None} == {**after, "recipe": None}
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").glob("*latenc*"))


def changed(lock: Path, folder: Path, **values: object) -> Path:
    """A copy of a lock in which some values differ."""
    path = folder / "changed.lock.json"
    write_json(path, {**read_json(lock), **values})
    return path


def test_another_model_other_data_and_another_recipe_are_refused(
    first: Path, wide: Path, pictures: Path, tmp_path: Path
) -> None:
    origins = read_json(first / LOCK)["origins"]
    for index, kind in ((0, "float model"), (2, "validation data")):
        other = [{**origin, "sha256": "0" * 64} if at == index else origin for at, origin in enumerate(origins)]
        lock = changed(first / LOCK, tmp_path, origins=other)
        with pytest.raises(ConfigError, match=rf"another {kind}: .*000000000000.*Give the model and the data"):
            export(wide, pictures, tmp_path / "run", locked=lock)
    with pytest.raises(ConfigError, match=r"seed = 0, and 3 is asked for.*Leave the option out"):
        export(wide, pictures, tmp_path / "run", locked=first / LOCK, seed=3)
    with pytest.raises(ConfigError, match="--device"):
        export(wide, pictures, tmp_path / "run", locked=first / LOCK, device="table.json")
    lock = changed(first / LOCK, tmp_path, calibration={"p0": "0"})
    with pytest.raises(ConfigError, match="other calibration images"):
        export(wide, pictures, tmp_path / "run", locked=lock)


def test_a_choice_that_the_lock_lacks_is_not_guessed(first: Path, wide: Path, pictures: Path, tmp_path: Path) -> None:
    decisions = {name: value for name, value in read_json(first / LOCK)["decisions"].items() if name != "budgets"}
    lock = changed(first / LOCK, tmp_path, decisions=decisions)
    with pytest.raises(ConfigError, match=r"no decision 'budgets'.*Export without --locked"):
        export(wide, pictures, tmp_path / "run", locked=lock)


def test_other_versions_are_noted_by_a_dry_run_too(first: Path, wide: Path, pictures: Path, tmp_path: Path) -> None:
    machine = read_json(first / LOCK)["machine"]
    old = {**machine, "processor": "another", "versions": {**machine["versions"], "tensorflow": "2.1"}}
    lock = read_lock(changed(first / LOCK, tmp_path, machine=old))
    plan = plan_export(wide, pictures, lock.options, lock=lock)
    assert "tensorflow 2.1 (here" in plan.notes[-1]
    assert "another processor" in plan.notes[-1]
    assert compare_machines(lock, lock.machine) == ()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"schema": 2}, "no lock of version 1"),
        ({"machine": {"versions": {}, "processor": "", "threads": 0}}, "0 threads"),
        ({"recipe": {"int8": "yes"}}, "int8 must be bool"),
        ({"decisions": []}, "decisions must be a table"),
        ({"decisions": {"colour": "red"}}, "no decision 'colour'"),
        ({"decisions": {"prune0/epoch": "all"}}, "prune0/epoch must be int"),
        ({"decisions": {"method": "luck"}}, "method cannot be 'luck'"),
        ({"decisions": {"budgets": {"bounds": {"file, MB": "small"}}}}, "bounds.*must be float"),
        ({"more": 1}, "no option 'more'"),
    ],
)
def test_what_is_no_lock_is_refused_by_name(first: Path, tmp_path: Path, value: dict[str, object], reason: str) -> None:
    path = changed(first / LOCK, tmp_path, **value)
    with pytest.raises(ArtifactError, match=rf"changed.lock.json is no lock.*{reason}|changed.lock.json is {reason}"):
        read_lock(path)


def test_a_recipe_may_differ_in_how_finished_files_are_timed_alone(first: Path) -> None:
    lock = read_lock(first / LOCK)
    timed = dataclasses.replace(lock.options.measurement, rounds=9)
    check_recipe(lock, dataclasses.replace(lock.options, measurement=timed))
    assert from_dict(Lock, json.loads(json.dumps(dataclasses.asdict(lock)))) == lock
