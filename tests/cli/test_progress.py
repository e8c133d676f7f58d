"""Progress: a log sees a stage when it begins and when it ends, a terminal a bar that says which stage it is."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

import pytest

from tests.support.command_line import Program
from tests.support.paths import REPOSITORY
from tests.support.small_artifacts import Zoo
from u3p_edge.cli.progress import duration, stages

TWO_STAGES = """
import sys
from u3p_edge.cli.progress import stages
with stages(2) as progress:
    step = progress("Read [red] images\\x1b[31m", 3)
    sys.stdin.readline()
    step()
    progress("Time", 0)
    sys.stdin.readline()
"""


def test_a_log_sees_a_stage_when_it_begins() -> None:
    """The child waits for us inside each stage: a line that comes while it waits was written at the stage's beginning."""
    child = subprocess.Popen(
        [sys.executable, "-c", TWO_STAGES], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY
    )
    assert child.stdin is not None
    assert child.stderr is not None
    assert child.stderr.readline() == "stage 1 of 2: Read [red] images\\x1b[31m, 3 steps\n"
    child.stdin.write("\n")
    child.stdin.flush()
    ended = child.stderr.readline()
    assert re.fullmatch(r"stage 1 of 2: Read \[red\] images\\x1b\[31m: done in \d+\.\d s \(\d+\.\d s in all\)\n", ended)
    assert child.stderr.readline() == "stage 2 of 2: Time\n"
    _, rest = child.communicate("\n")
    assert rest.startswith("stage 2 of 2: Time: done in ")
    assert rest.count("\n") == 1


def test_a_terminal_sees_which_stage_it_is() -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", TWO_STAGES],
        stdin=subprocess.PIPE,
        stderr=theirs,
        cwd=REPOSITORY,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    child.communicate(b"\n\n")
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    text = shown.decode()
    assert "stage 1 of 2: Read [red] images\\x1b[31m" in text
    assert "stage 2 of 2: Time" in text
    assert "3/3" in text or "1/1" in text
    assert "done in" not in text


def test_the_number_of_stages_is_reported_only_where_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    with stages() as progress:
        progress("One", 1)()
    assert capsys.readouterr().err.splitlines()[0] == "stage 1: One"


def test_a_stage_that_an_error_ends_is_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with stages() as progress:
            progress("One", 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert capsys.readouterr().err == "stage 1: One\n"


def test_bench_knows_its_stages(program: Program, zoo: Zoo) -> None:
    done = program("bench", zoo.path("int8.tflite"), "--threads", 1, "--rounds", 5, "--memory", 1)
    began = re.findall(r"^stage (\d) of (\d): [^:\n]+$", done.err, re.MULTILINE)
    # One number of threads, whole frames, memory.
    assert began == [("1", "3"), ("2", "3"), ("3", "3")]
    assert done.err.count(": done in ") == 3
    assert "stage" not in done.out


@pytest.mark.parametrize(("seconds", "expected"), [(0.44, "0.4 s"), (59.9, "59.9 s"), (600, "10 min"), (5400, "1.5 h")])
def test_durations_are_words(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected
