"""`bench --history` adds the commit, and `history` reads the folder and writes the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command_line import Program, refusal, run_process
from tests.support.histories import write_history
from tests.support.missing_packages import blocking
from tests.support.timed_files import write_chain
from u3p_edge.benchmark.history import read_history

QUICK = ("--threads", "1", "--rounds", "5", "--memory", "0")


def test_a_benchmark_adds_its_commit(tmp_path: Path, program: Program) -> None:
    model, folder = write_chain(tmp_path, 1), tmp_path / "history"
    for _ in range(2):
        done = program("bench", model, *QUICK, "--history", folder, "--commit", "v1")
        assert done.code == 0, done.err
    (entry,) = read_history(folder)
    assert entry.commit.name == "v1"
    assert {figure.name for figure in entry.figures} == {"latency, 1 thread", "size"}


def test_the_changes_are_printed_and_written(tmp_path: Path, program: Program) -> None:
    pytest.importorskip("ruptures", reason="the extra history is not installed")
    folder, page = tmp_path / "history", tmp_path / "trend.html"
    write_history(folder, [0.3] * 4 + [0.6] * 4)
    done = program("history", folder, "--out", page, "--min-change", "10")
    assert done.code == 0, done.err
    assert "2 changes, 2 for the worse" in done.out
    assert "2 changes, 2 for the worse" in page.read_text(encoding="utf-8")


def test_bad_input_is_one_sentence(tmp_path: Path, program: Program) -> None:
    (tmp_path / "a.json").write_text("{}")
    assert "a.json is not of a history" in refusal(program("history", tmp_path, "--out", tmp_path / "t.html"))
    model = write_chain(tmp_path / "model", 1)
    assert "--commit names the commit of a history" in refusal(program("bench", model, *QUICK, "--commit", "v1"))
    assert not (tmp_path / "t.html").exists()


def test_without_the_extra_it_is_named(tmp_path: Path) -> None:
    write_history(tmp_path, [0.3] * 3)
    code = blocking(("ruptures",)) + "from u3p_edge.cli.main import main; main()"
    done = run_process("history", tmp_path, "--out", tmp_path / "t.html", code=code)
    assert "python -m pip install 'u3p-edge[history]'" in refusal(done)
