"""Killed at any file operation, a run folder is the old one or the new one, and the same command ends well afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.killing import changes_files, killed_at
from tests.support.paths import REPOSITORY
from u3p_edge.files.atomic import write_bytes, write_text
from u3p_edge.manifest import MANIFEST, Artifact, Manifest, describe, is_whole, read_manifest, sha256_of, write_manifest
from u3p_edge.models.stored_files import DESCRIPTION, WEIGHTS, replace_files
from u3p_edge.pipeline.publish import NAMES, READY, assemble, open_run, publish
from u3p_edge.pipeline.staging import drop, open_staging, staging_folder
from u3p_edge.run_folder import hold
from u3p_edge.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from u3p_edge.training.recipe import TrainRecipe
from u3p_edge.training.state import RunState

Files = Mapping[str, str]

OLD: Files = {
    "model.float32.tflite": "old float",
    "model.int8.tflite": "old int8",
    "report.md": "old",
    "report.json": "{}",
    "pruning.json": "old plan",
}
NEW: Files = {"model.float32.tflite": "new float", "model.float32.onnx": "new onnx", "report.md": "new", "report.json": "{ }"}
"""Some files are replaced, some removed, some added."""

FOREIGN = {"notes.txt": "somebody else's", ".staging-mine": "too", "model.safetensors": "a training's"}


def export(run: Path, files: Files) -> None:
    """The file operations of an export, in its order, with contents of a few bytes."""
    key = f"key of {files['report.md']}"
    with hold(run):
        before = open_run(run)
        if before.key == key and all(is_whole(a, run) for a in (*before.artifacts, *before.reports)):
            drop(staging_folder(run, key))
            return
        staging = open_staging(run, key)
        models = {name: text for name, text in files.items() if name.startswith("model")}
        staged = {name: staging.file(name, text.encode) for name, text in models.items()}
        ready = assemble(staged, staging)
        for name in files.keys() - models.keys():
            write_text(ready / name, files[name])
        publish(ready, run, before, Manifest(tuple(describe(ready / name, "tflite-int8") for name in models), key=key))
        drop(staging.folder)


def exported(run: Path) -> Path:
    """A folder with an old export, the model that it was made from, and files of somebody else."""
    run.mkdir()
    for name, text in FOREIGN.items():
        (run / name).write_text(text)
    write_manifest(run, Manifest((describe(run / "model.safetensors", "weights"),)))
    export(run, OLD)
    return run


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process loses nothing that it has handed to the system; that is lost with the power alone."""
    monkeypatch.setattr(os, "fsync", lambda _handle: None)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(tmp_path_factory.mktemp("start") / "run")


def contents(run: Path) -> Files:
    """What lies in a folder under the names that an export writes."""
    return {path.name: path.read_text() for path in run.iterdir() if path.name in NAMES}


def assert_old_or_new(run: Path, old: Files, foreign: Files) -> None:
    """All files of the old export or all of the new one; or one that is known to be unfinished, with nothing lost."""
    manifest = read_manifest(run)
    listed = (*manifest.artifacts, *manifest.reports)
    assert [a.file for a in listed if not is_whole(a, run)] == [], "a manifest names no file that is not as it says"
    if manifest.pending:
        ready = run / manifest.staging / READY
        assert {a.file for a in manifest.pending} == set(NEW)
        assert [a.file for a in manifest.pending if not (is_whole(a, run) or is_whole(a, ready))] == []
        assert contents(run).keys() <= manifest.names, "what is left of the old export is known as ours"
    else:
        assert contents(run) in (old, NEW)
        assert {a.file for a in listed} - set(FOREIGN) == set(contents(run))
    assert {name: (run / name).read_text() for name in foreign} == foreign


def assert_new(run: Path, foreign: Files) -> None:
    """The new export alone, and nothing hidden is left."""
    manifest = read_manifest(run)
    assert contents(run) == NEW
    assert {a.file for a in (*manifest.artifacts, *manifest.reports)} - set(FOREIGN) == set(NEW)
    assert sorted(path.name for path in run.iterdir()) == sorted((MANIFEST, *NEW, *foreign))


def every_kill(work: Callable[[Path], None], make: Callable[[Path], Path], folder: Path) -> Iterator[Path]:
    """A fresh folder for each file operation of some work, which was killed just before it."""
    start = make(folder / "start")
    for number in count(1):
        run = Path(shutil.copytree(start, folder / str(number)))
        if not killed_at(partial(work, run), number):
            assert number > 1
            return
        yield run
        shutil.rmtree(run)


def empty(run: Path) -> Path:
    run.mkdir()
    return run


def check_unfinished(run: Path, folder: Path, foreign: Files) -> None:
    """An unfinished export that the next command does not go on with gives its place to another, or is made anew."""
    other = Path(shutil.copytree(run, folder / "other"))
    export(other, OLD)
    assert contents(other) == OLD, "another export took its place"
    lost = Path(shutil.copytree(run, folder / "lost"))
    drop(lost / read_manifest(lost).staging)
    export(lost, NEW)
    assert_new(lost, foreign)
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("make", "old", "foreign"), [(exported, OLD, FOREIGN), pytest.param(empty, {}, {}, marks=pytest.mark.slow)]
)
def test_an_export_killed_at_any_operation(tmp_path: Path, make: Callable[[Path], Path], old: Files, foreign: Files) -> None:
    states, checked = set(), []
    for run in every_kill(partial(export, files=NEW), make, tmp_path):
        assert_old_or_new(run, old, foreign)
        states.add("pending" if read_manifest(run).pending else "new" if contents(run) == NEW else "old")
        if read_manifest(run).pending and contents(run) not in checked:
            checked.append(contents(run))
            check_unfinished(run, tmp_path / "other", foreign)
        export(run, NEW)
        assert_new(run, foreign)
    assert states == {"old", "pending", "new"}, "the kills came before, in and after publishing"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(1, 150), second=st.integers(1, 150))
def test_an_export_killed_again_while_it_goes_on(
    start: Path, tmp_path_factory: pytest.TempPathFactory, first: int, second: int
) -> None:
    run = Path(shutil.copytree(start, tmp_path_factory.mktemp("run") / "run"))
    killed_at(lambda: export(run, NEW), first)
    killed_at(lambda: export(run, NEW), second)
    assert_old_or_new(run, OLD, FOREIGN)
    export(run, NEW)
    assert_new(run, FOREIGN)


def test_no_file_is_ever_opened_for_writing_under_its_final_name(tmp_path: Path) -> None:
    opened: list[str] = []
    watched = True

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if watched and event == "open" and changes_files(event, arguments):
            path = Path(str(arguments[0]))
            if tmp_path in path.parents and not path.is_dir():
                opened.append(path.name)

    run = exported(tmp_path / "run")
    sys.addaudithook(hook)
    export(run, NEW)
    watched = False
    assert opened
    assert {name for name in opened if not name.startswith((".u3p-edge-partial-", ".u3p-edge-lock"))} == set()


# --- a training's files


def stored(folder: Path) -> Path:
    replace_files(folder, b"old weights", {"config": "old"})
    return folder


def test_a_stored_model_killed_at_any_operation(tmp_path: Path) -> None:
    work = partial(replace_files, weights=b"new weights", description={"config": "new"})
    for folder in every_kill(work, stored, tmp_path):
        description = json.loads((folder / DESCRIPTION).read_text())
        known = [d for d in (description, description.get("previous")) if d]
        weights = (folder / WEIGHTS).read_bytes()
        (now,) = [d for d in known if d["sha256"] == sha256_of(folder / WEIGHTS)]
        assert f"{now['config']} weights".encode() == weights
        work(folder)
        assert json.loads((folder / DESCRIPTION).read_text())["config"] == "new"


def checkpoint(value: float) -> Checkpoint:
    return Checkpoint(RunState(TrainRecipe(), f"data {value:g}"), {"model/w": np.full((2, 3), value, np.float32)})


def with_checkpoint(folder: Path) -> Path:
    save_checkpoint(folder, checkpoint(1))
    return folder


def test_a_checkpoint_killed_at_any_operation(tmp_path: Path) -> None:
    for folder in every_kill(partial(save_checkpoint, checkpoint=checkpoint(2)), with_checkpoint, tmp_path):
        result = load_checkpoint(folder)
        assert result is not None
        value = result.tensors["model/w"][0, 0]
        assert result.state.data == f"data {value:g}", "the state belongs to the weights"
        with hold(folder):
            save_checkpoint(folder, checkpoint(2))
        assert [path.name for path in folder.iterdir()] == ["resume.safetensors"]


def test_what_is_pending_survives_a_training_in_the_same_folder(tmp_path: Path) -> None:
    run = exported(tmp_path / "run")
    manifest = read_manifest(run)
    pending = Artifact("model.float32.onnx", "onnx-float32", "0" * 64, 3)
    unfinished = Manifest(manifest.artifacts, pending=(pending,), key="another").with_claims(("model.json", "tb"))
    assert unfinished.without(("model.json", "tb")).pending == (pending,)
    assert unfinished.names >= {"model.json", "tb", "model.float32.onnx"}
    write_bytes(run / "a", b"")
    write_manifest(run, unfinished)
    assert read_manifest(run).pending == (pending,)


# --- end to end


def crash(kind: str, keras_file: Path, pictures: Path, folder: Path, kills: str) -> str:
    """What tests/support/crash_end_to_end.py prints at its end."""
    line = [sys.executable, "-m", "tests.support.crash_end_to_end", kind, str(keras_file), str(pictures), str(folder), kills]
    # A forked process that waited for a lock of TensorFlow's would wait for ever.
    seconds = None if kills == "all" else 900
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=REPOSITORY, timeout=seconds)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow  # the same files are written and killed at every operation above, and `tests/cli` kills a real export
@pytest.mark.parametrize("kind", ["train", "export"])
def test_a_real_run_killed_at_some_operations(kind: str, keras_file: Path, pictures: Path, tmp_path: Path) -> None:
    assert crash(kind, keras_file, pictures, tmp_path, "1") == "1 kills went well"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["train", "export"])
def test_a_real_run_killed_at_every_operation(kind: str, keras_file: Path, pictures: Path, tmp_path: Path) -> None:
    assert crash(kind, keras_file, pictures, tmp_path, "all").endswith("kills went well")
