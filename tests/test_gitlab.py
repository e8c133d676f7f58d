"""The template for GitLab: the scripts of its jobs run on real files, as a runner would run them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.ci_scripts import make_workspace, run_script, write_program
from tests.support.paths import REPOSITORY

JOBS: dict[str, dict[str, Any]] = yaml.safe_load((REPOSITORY / ".ci" / "gitlab.yml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("workspace"))


def run_job(name: str, workspace: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script of a job, after whose installation nothing is left to do here."""
    install, *script = JOBS[name]["script"]
    assert install == 'python -m pip install "$SOURCE"'
    return run_script("\n".join(script), workspace, {**JOBS[name]["variables"], **variables})


def test_the_gate_keeps_its_table_and_fails_where_something_regressed(workspace: Path) -> None:
    done = run_job(".u3p-edge-gate", workspace, BASELINE="short", CURRENT="long", SECONDS_LIMIT="60")
    assert done.returncode == 1, done.stderr
    assert (workspace / JOBS[".u3p-edge-gate"]["artifacts"]["paths"][0]).read_text().startswith("## Gate: ")
    assert (workspace / JOBS[".u3p-edge-gate"]["artifacts"]["reports"]["junit"]).is_file()


def test_the_history_gains_the_commit_and_a_page(workspace: Path) -> None:
    pytest.importorskip("ruptures", reason="the extra history is not installed")
    job = JOBS[".u3p-edge-history"]
    done = run_job(".u3p-edge-history", workspace, CURRENT="short", CI_COMMIT_SHA="1a2b3c")
    assert done.returncode == 0, done.stderr
    (entry,) = (workspace / job["cache"]["paths"][0]).iterdir()
    assert entry.name.startswith("1a2b3c.")
    assert "model.int8.tflite" in (workspace / job["artifacts"]["paths"][0]).read_text()


def test_the_history_is_given_every_model_file_and_the_data(workspace: Path) -> None:
    root = workspace / "asked"
    (root / "with space").mkdir(parents=True)
    for name in ("model.int8.tflite", "model.int8.onnx", "report.md"):
        (root / "with space" / name).touch()
    write_program(root / "bin" / "u3p-edge", 'printf "%s\\n" "$@" >> asked.txt')
    done = run_job(".u3p-edge-history", root, CURRENT="with space", CI_COMMIT_SHA="1a2b3c", DATA="a b")
    assert done.returncode == 0, done.stderr
    bench = (root / "asked.txt").read_text().split("\nhistory\n")[0].splitlines()
    assert bench[:3] == ["bench", "--data", "a b"]
    assert bench[-2:] == ["with space/model.int8.onnx", "with space/model.int8.tflite"]
