"""What a command remembers of its stages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from u3p_edge.cli.progress import stages
from u3p_edge.cli.stage_times import FILE, read_stage_times

EXPORT = ("export", "model.h5", "{}")


def run(folder: Path, *names: str) -> None:
    with stages(times=read_stage_times(folder, *EXPORT)) as progress:
        for name in names:
            progress(name, 1)()


def test_the_second_run_knows_how_many_stages_there_are_and_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path, "Read", "Quantize", "Measure")
    first = capsys.readouterr().err.splitlines()
    assert first[0] == "stage 1: Read"
    run(tmp_path, "Read", "Quantize", "Measure")
    second = capsys.readouterr().err.splitlines()
    assert second[0].startswith("stage 1 of 3: Read, about ")
    assert second[0].endswith(" left")
    assert second[-1].startswith("stage 3 of 3: Measure: done in ")


def test_what_is_left_is_what_the_later_stages_took(tmp_path: Path) -> None:
    read_stage_times(tmp_path, *EXPORT).save((("Read", 1.0), ("Quantize", 60.0), ("Measure", 9.0)))
    known = read_stage_times(tmp_path, *EXPORT)
    assert (known.total, known.seconds) == (3, 70.0)
    assert known.left(("Read",)) == 70.0
    assert known.left(("Read", "Quantize")) == 69.0
    assert known.left(("Read", "Quantize", "Measure")) == 9.0


def test_a_run_that_takes_another_way_is_not_forecast(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "Read", "Quantize", "Measure")
    capsys.readouterr()
    run(tmp_path, "Read", "Train", "Train", "Measure")
    lines = capsys.readouterr().err.splitlines()
    assert lines[2] == "stage 2: Train"
    assert read_stage_times(tmp_path, *EXPORT).total == 4


def test_other_options_are_another_command(tmp_path: Path) -> None:
    run(tmp_path, "Read", "Measure")
    assert read_stage_times(tmp_path, "export", "other.h5", "{}").total is None


def test_a_run_that_skipped_stages_is_not_remembered_instead(tmp_path: Path) -> None:
    run(tmp_path, "Read", "Quantize", "Measure")
    run(tmp_path, "Read", "Measure")
    assert read_stage_times(tmp_path, *EXPORT).total == 3


def test_a_run_that_fails_is_not_remembered(tmp_path: Path) -> None:
    def fail() -> None:
        with stages(times=read_stage_times(tmp_path, *EXPORT)) as progress:
            progress("Read", 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert read_stage_times(tmp_path, *EXPORT).total is None


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"version": 2}',
        '{"version": 2, "entries": [[1, 2]]}',
        '{"version": 2, "entries": [["KEY", [["Read", "soon"]]]]}',
        '{"version": 2, "entries": [["KEY", [["Read", -1.0]]]]}',
        '{"version": 2, "entries": [["KEY", [["Read"]]]]}',
    ],
)
def test_a_damaged_file_is_begun_again(tmp_path: Path, content: str) -> None:
    key = read_stage_times(tmp_path, *EXPORT).key
    (tmp_path / FILE).write_text(content.replace("KEY", key))
    assert read_stage_times(tmp_path, *EXPORT).total is None
    run(tmp_path, "Read")
    assert read_stage_times(tmp_path, *EXPORT).total == 1
    assert json.loads((tmp_path / FILE).read_text())["version"] == 2
