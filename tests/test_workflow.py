"""The workflow for GitHub Actions: its commands exist, nothing is trained at a push, and the report comes with its pictures."""

from __future__ import annotations

import re
import shlex

import pytest
import typer

from tests.support.paths import REPOSITORY
from u3p_edge.cli.main import app

WORKFLOW = (REPOSITORY / ".github" / "workflows" / "edge.yml").read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    """Every command line of ours, its folded lines joined."""
    text = re.sub(r"\n +(?=--|frozen/)", " ", WORKFLOW)
    result = re.findall(r"(?:run: |run: >-\s+|\|\| |^ +)(u3p-edge .*)", text, re.MULTILINE)
    return [shlex.split(line.split(" || ")[0])[1:] for line in result]


def test_all_commands_are_found() -> None:
    assert [words[0] for words in commands()] == ["export", "bench", "export", "gate", "bench", "history"]


@pytest.mark.parametrize("words", commands(), ids=lambda words: words[0])
def test_every_option_of_its_commands_exists(words: list[str]) -> None:
    command = typer.main.get_command(app).commands[words[0]]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    given = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert given
    assert given <= known


def test_nothing_is_trained_at_a_push() -> None:
    """But once, where there are no frozen files yet; what each commit converts anew needs no training."""
    once, _, converted, *_ = commands()
    assert once[-2:] == ["--out", "frozen"]
    assert "test -f frozen/manifest.json || u3p-edge export" in WORKFLOW
    assert {"--ptq", "--no-rewrite"} <= set(converted)
    assert converted[converted.index("--recipe") + 1] == "exact"


def test_the_reports_come_with_their_pictures() -> None:
    kept = WORKFLOW.split("name: edge-report")[1]
    for folder in ("frozen", "converted"):
        for name in ("report.md", "samples.png", "pareto.svg"):
            assert f"{folder}/{name}" in kept


def test_the_pictures_that_the_browser_takes_are_kept() -> None:
    """By the names that the test gives them: where it is skipped, there are none, and the job fails."""
    source = (REPOSITORY / "tests" / "report" / "test_html_in_a_browser.py").read_text(encoding="utf-8")
    for name in ("light", "dark"):
        assert f'keep(page, "{name}")' in source
        assert f"test -s screenshots/report-{name}.png" in WORKFLOW
    assert re.search(r"name: screenshots\s+path: screenshots$", WORKFLOW, re.MULTILINE)


def test_one_job_has_pytorch_and_runs_what_needs_it() -> None:
    """It imports both packages first: where one were missing, the tests would be skipped, and the job would pass."""
    job = WORKFLOW.split("  pytorch:")[1].split("\n\n")[0]
    places = [
        job.index(line) for line in ("'.[dev,torch]'", '"import onnxscript, torch"', "pytest tests/importing/test_torch.py")
    ]
    assert places == sorted(places)
    assert (REPOSITORY / "tests" / "importing" / "test_torch.py").is_file()
