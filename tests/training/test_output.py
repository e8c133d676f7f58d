"""Whose files a training may replace."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import write_bytes
from u3p_edge.manifest import MANIFEST, Manifest, describe, read_manifest, write_manifest
from u3p_edge.run_folder import HOLDER, LOCK
from u3p_edge.training.checkpoint import RESUME, Checkpoint, is_checkpoint, save_checkpoint
from u3p_edge.training.output import BOARD, FILES, NAMES, check_output, open_train_folder
from u3p_edge.training.recipe import TrainRecipe
from u3p_edge.training.state import RunState


def checkpoint(run: Path) -> None:
    save_checkpoint(run, Checkpoint(RunState(TrainRecipe(), "data"), {"model/w": np.ones(3, np.float32)}))


@pytest.mark.parametrize("name", NAMES)
def test_somebody_elses_file_under_a_name_of_ours_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / BOARD).mkdir() if name == BOARD else (tmp_path / name).write_text("mine")
    for restart in (False, True):
        with pytest.raises(ArtifactError, match="would be replaced, and no manifest of this program names it"):
            check_output(tmp_path, restart=restart)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_training_that_was_killed_goes_on_in_its_folder(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest(claims=NAMES))
    checkpoint(tmp_path)
    (tmp_path / BOARD).mkdir()
    assert open_train_folder(tmp_path, restart=False).claims == NAMES


def test_trainings_of_an_older_version_are_known(tmp_path: Path) -> None:
    unfinished, finished = tmp_path / "unfinished", tmp_path / "finished"
    for run in (unfinished, finished):
        checkpoint(run)
        (run / BOARD).mkdir()
        write_bytes(run / "model.json", b"{}")
    artifact = vars(describe(finished / "model.json", "model-description"))
    (finished / MANIFEST).write_text(json.dumps({"artifacts": [artifact], "key": "", "recipe": "{}", "rewrites": []}))
    for run in (unfinished, finished):
        assert open_train_folder(run, restart=False).names == {MANIFEST, *NAMES}


def test_an_exports_files_stay_known(tmp_path: Path) -> None:
    write_bytes(tmp_path / "model.int8.tflite", b"model")
    exported = Manifest((describe(tmp_path / "model.int8.tflite", "tflite-int8"),), key="key")
    write_manifest(tmp_path, exported)
    manifest = open_train_folder(tmp_path, restart=False).with_claims(NAMES)
    assert manifest.artifacts == exported.artifacts
    assert manifest.key == "key"
    assert set(FILES) <= manifest.names


def test_another_process_is_refused_before_any_work(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from u3p_edge.run_folder import hold\n"
    code += "with hold(Path(sys.argv[1])): print('held', flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ArtifactError, match=rf"another process \(pid {other.pid} on {socket.gethostname()}\)"):
            check_output(tmp_path, restart=False)
        other.kill()
    check_output(tmp_path, restart=False)
    assert not [path for path in tmp_path.iterdir() if path.name in (LOCK, HOLDER)]


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    check_output(tmp_path / "new", restart=False)
    assert list(tmp_path.iterdir()) == []
    assert read_manifest(tmp_path / "new") == Manifest()


def test_only_a_checkpoint_is_one(tmp_path: Path) -> None:
    checkpoint(tmp_path)
    assert is_checkpoint(tmp_path / RESUME)
    (tmp_path / "cut").write_bytes((tmp_path / RESUME).read_bytes()[:20])
    assert not is_checkpoint(tmp_path / "cut")
    assert not is_checkpoint(tmp_path / "absent")
    assert not is_checkpoint(tmp_path)
