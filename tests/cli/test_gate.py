"""`gate` times the files of two folders side by side, and compares what is counted; real files, and no absolute time."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.support.sample_results import result
from tests.support.timed_files import write_chain
from u3p_edge.benchmark.result_file import save_result
from u3p_edge.benchmark.suite import Settings
from u3p_edge.cli.gate import gate
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.pipeline.bench import bench

GENEROUS = ("--precision", "5", "--seconds", "60")
"""Twelve rounds of a network of a tenth of a millisecond and then some: under a second, on a busy machine a few."""


def run(*arguments: object) -> Result:
    app = typer.Typer()
    app.command()(gate)
    return CliRunner(env={"COLUMNS": "400"}).invoke(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders with a file each: `short` of 3 convolutions, and `long` of 9."""
    root = tmp_path_factory.mktemp("gate")
    write_chain(root / "short", 3)
    write_chain(root / "long", 9)
    return root


def test_a_file_that_takes_three_times_as_long_regresses_and_a_shorter_one_passes(folders: Path, tmp_path: Path) -> None:
    xml = tmp_path / "gate.xml"
    done = run(folders / "short", folders / "long", "--only", "latency", *GENEROUS, "--junit", xml)
    assert done.exit_code == 1, done.output
    assert "a second round of measurements found it too" in done.output
    assert ElementTree.parse(xml).getroot().get("failures") == "1"
    done = run(folders / "long", folders / "short", *GENEROUS)
    assert done.exit_code == 0, done.output
    assert "the baseline's file against itself" in done.output


def test_a_tolerance_that_the_rounds_cannot_tell_from_the_ratio_is_inconclusive(folders: Path) -> None:
    # Between 9 and 3 convolutions, of 0.1 ms and more, 2 to 6 times the time: no interval reaches from 1.02 to 10.
    assert run(folders / "short", folders / "long", "--only", "latency", *GENEROUS, "--max-slowdown", "900").exit_code == 0
    hurried = run(folders / "short", folders / "long", "--only", "latency", "--seconds", "0.1", "--precision", "0.01")
    # Five rounds are always taken and twelve are needed; in a twentieth of a second a machine may just get so far.
    assert hurried.exit_code in (1, 4), hurried.output


def test_what_is_counted_regresses_without_a_clock(folders: Path) -> None:
    done = run(folders / "short", folders / "long", "--only", "structure", "--only", "size")
    assert done.exit_code == 1
    # 32 x 32 pixels, each 9 * 16 * 16 more for each of 6 more convolutions.
    macs = 32 * 32 * (9 * 1 * 16 + 2 * 9 * 16 * 16 + 16 * 3)
    assert f"{macs:,} -> {macs + 32 * 32 * 6 * 9 * 16 * 16:,}" in done.output
    assert run(folders / "short", folders / "long", "--only", "structure", "--max-structure", "400").exit_code == 0


def test_the_same_bytes_need_no_clock(folders: Path, tmp_path: Path) -> None:
    shutil.copytree(folders / "short", tmp_path / "again")
    done = run(folders / "short", tmp_path / "again", "--seconds", "0.1")
    assert done.exit_code == 0
    assert "the same file, byte for byte" in done.output


def test_files_beside_a_result_are_timed_if_they_are_those_it_is_about(folders: Path, tmp_path: Path) -> None:
    for name in ("short", "long"):
        shutil.copytree(folders / name, tmp_path / name)
        quick = Settings(rounds=5, memory_repeats=0)
        save_result(tmp_path / name / "result.json", bench([tmp_path / name / "model.int8.tflite"], settings=quick))
    both = (tmp_path / "short" / "result.json", tmp_path / "long" / "result.json")
    assert run(*both, "--only", "latency", *GENEROUS).exit_code == 1
    shutil.copy(tmp_path / "short" / "model.int8.tflite", tmp_path / "long" / "model.int8.tflite")
    done = run(*both, "--only", "latency", *GENEROUS)
    assert done.exit_code == 3, "nothing is left to compare"
    assert "times of two runs are not compared" in done.output


def test_a_folder_without_files_and_times_that_cannot_be_are_refused(folders: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no model")
    refused = run(folders / "short", tmp_path).exception
    assert isinstance(refused, ArtifactError)
    assert "holds neither report.json nor a model file" in str(refused)
    assert run(folders / "short", folders / "short", "--seconds", "301").exit_code == 2
    assert isinstance(run(folders / "short", folders / "short", "--file", "other*").exception, ConfigError)


def write_export(folder: Path, sha256: str, seed: int) -> Path:
    """The report and the lock of an export, without its files."""
    folder.mkdir()
    text = json.dumps(
        {
            "origins": [], "recipe": {}, "calibration": {"a": "00"}, "decisions": {}, "files": {"model.int8.tflite": sha256},
            "machine": {"versions": {"numpy": "2"}, "processor": "some", "threads": 2}, "device": str(seed), "schema": 1,
        }
    )  # fmt: skip
    (folder / "export.lock.json").write_text(text)
    path = folder / "report.json"
    save_result(path, result())
    path.write_text(path.read_text().replace("ab" * 32, sha256))
    return folder


def test_exports_of_one_lock_must_have_the_same_bytes(tmp_path: Path) -> None:
    first, other, unlike = (
        write_export(tmp_path / name, sha256 * 32, seed)
        for name, sha256, seed in (("a", "ab", 0), ("b", "cd", 0), ("c", "cd", 1))
    )
    done = run(first, other, "--only", "sha256")
    assert done.exit_code == 1
    assert "though both were made from the same lock" in done.output
    assert run(first, first, "--only", "sha256").exit_code == 0
    assert run(first, unlike, "--only", "sha256").exit_code == 3, "of another lock, so there is nothing to compare"
