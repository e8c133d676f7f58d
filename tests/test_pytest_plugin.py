"""The pytest plugin, in a pytest of its own: a test of another project passes, fails, or is skipped with its reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.timed_files import write_chain

TEST = """
def test_latency(u3p_latency):
    u3p_latency("current/model.int8.tflite", max_slowdown=5)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another project: its baseline has three convolutions, and its model of now nine."""
    root = tmp_path_factory.mktemp("project")
    write_chain(root / "baseline", 3)
    write_chain(root / "current", 9)
    (root / "test_model.py").write_text(TEST)
    return root


def run(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # Without the entry point, which is there only where the package is installed: the plugin is named instead.
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-p", "u3p_edge.pytest_plugin", "-rs", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_a_model_that_got_slower_fails_with_the_measurement(project: Path) -> None:
    done = run(project, "--u3p-baseline", "baseline", "--u3p-seconds", "60")
    assert done.returncode == 1, done.stdout
    assert "a second round of measurements found it too" in done.stdout


def test_the_same_model_passes(project: Path) -> None:
    done = run(project, "--u3p-baseline", "current")
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_without_a_baseline_it_is_skipped_and_without_its_file_it_fails(project: Path) -> None:
    skipped = run(project)
    assert "1 skipped" in skipped.stdout
    assert "give --u3p-baseline FOLDER" in skipped.stdout
    (project / "empty").mkdir()
    failed = run(project, "--u3p-baseline", "empty")
    assert failed.returncode == 1
    assert "empty holds no model.int8.tflite to compare with" in failed.stdout
