"""The composite action: its commands run in order on real files, as a runner would run them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.ci_scripts import make_workspace, run_script, write_program
from tests.support.paths import REPOSITORY

ACTION: dict[str, Any] = yaml.safe_load((REPOSITORY / "action.yml").read_text(encoding="utf-8"))
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"]}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_workspace(tmp_path_factory.mktemp("workspace"))
    # The service's own program: it says what it was asked for.
    write_program(root / "bin" / "gh", 'echo "$@" > asked.txt')
    return root


def run_step(name: str, workspace: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script with its variables filled in from the inputs, or their defaults."""
    given = {key: str(entry.get("default", "")) for key, entry in ACTION["inputs"].items()} | inputs
    step = STEPS[name]
    variables = {key: fill(text, given) for key, text in step.get("env", {}).items()}
    return run_script(step["run"], workspace, {"GITHUB_OUTPUT": str(workspace / "output.txt"), **variables})


def fill(text: str, inputs: dict[str, str]) -> str:
    name = text.removeprefix("${{ ").removesuffix(" }}")
    return inputs.get(name.removeprefix("inputs."), f"<{name}>")


@pytest.mark.parametrize(("baseline", "current", "verdict"), [("short", "long", "regressed"), ("short", "short", "passed")])
def test_the_gate_says_its_verdict_and_keeps_the_table(workspace: Path, baseline: str, current: str, verdict: str) -> None:
    (workspace / "output.txt").write_text("")
    done = run_step("Gate", workspace, baseline=baseline, current=current, seconds="60")
    assert done.returncode == 0, done.stderr
    assert (workspace / "output.txt").read_text() == f"verdict={verdict}\ntable=u3p-edge-gate.md\n"
    assert (workspace / "u3p-edge-gate.md").read_text().startswith("## Gate: ")
    assert ("::error title=model.int8.tflite%2C " in done.stdout) == (verdict == "regressed")


def test_bad_input_fails_the_step_with_its_sentence(workspace: Path) -> None:
    done = run_step("Gate", workspace, baseline="nowhere", current="short")
    assert done.returncode == 2
    assert "nowhere" in done.stderr


def test_the_history_gains_the_commit_and_a_page(workspace: Path) -> None:
    pytest.importorskip("ruptures", reason="the extra history is not installed")
    (workspace / "output.txt").write_text("")
    commit = {"github.event.pull_request.head.sha || github.sha": "1a2b3c"}
    done = run_step("History", workspace, current="short", history="kept", **commit)
    assert done.returncode == 0, done.stderr
    (entry,) = (workspace / "kept").iterdir()
    assert entry.name.startswith("1a2b3c.")
    assert (workspace / "output.txt").read_text() == "trend=u3p-edge-trend.html\n"
    assert "model.int8.tflite" in (workspace / "u3p-edge-trend.html").read_text()


def test_the_comment_is_the_table_of_this_pull_request(workspace: Path) -> None:
    assert run_step("Comment", workspace).returncode == 0
    asked = (workspace / "asked.txt").read_text()
    assert asked.startswith("pr comment <github.event.pull_request.number>")
    assert asked.rstrip().endswith("--body-file u3p-edge-gate.md")


def test_no_input_is_text_of_a_script() -> None:
    """Somebody else's pull request may choose them: they reach a script as variables alone."""
    assert all("${{" not in step["run"] for step in STEPS.values())
    assert STEPS["Fail where something regressed"]["if"] == "steps.gate.outputs.verdict == 'regressed'"


def test_every_input_is_used_and_described() -> None:
    text = (REPOSITORY / "action.yml").read_text(encoding="utf-8")
    assert all(f"inputs.{name}" in text and entry["description"] for name, entry in ACTION["inputs"].items())
