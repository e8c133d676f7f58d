"""A history holds what was measured of each commit on each machine, once, and a broken file of it is named."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.histories import commit_at, on_machine, write_history
from tests.support.sample_results import result, with_group_dice
from u3p_edge.benchmark.commit import Commit, find_commit
from u3p_edge.benchmark.figures import list_figures
from u3p_edge.benchmark.history import machine_key, read_history, record
from u3p_edge.benchmark.statistics import median, ratio
from u3p_edge.errors import ArtifactError, ConfigError


def test_what_is_read_is_what_was_measured(tmp_path: Path) -> None:
    value = result()
    record(tmp_path, value, commit_at(0))
    (entry,) = read_history(tmp_path)
    assert (entry.commit, entry.environment, entry.figures) == (commit_at(0), value.environment, list_figures(value))
    figures = {(figure.file, figure.title): figure for figure in entry.figures}
    reference, int8 = value.artifacts
    latency = figures[int8.name, "latency, 2 threads"]
    timed = median(int8.latencies[1].samples_ms)
    assert (latency.value, latency.low, latency.high, latency.unit) == (timed.estimate, timed.low, timed.high, "ms")
    beside = figures[int8.name, f"latency, 1 thread, ratio (to {reference.name})"]
    assert beside.value == ratio(int8.latencies[0].samples_ms, reference.latencies[0].samples_ms).estimate
    assert figures[int8.name, "size"].value == int8.bytes / 1e6
    assert not any(figure.file == reference.name and "ratio" in figure.name for figure in entry.figures)


def test_the_interval_of_dice_holds_it_and_has_the_width_of_the_spread_of_groups() -> None:
    dice = next(figure for figure in list_figures(with_group_dice(result(), lost=0)) if figure.more_is_better)
    # Eight groups from 0.7 to 0.9: their mean is 80 points, its standard error 6.5 / sqrt(8) = 2.3 points, and the interval
    # has about 1.96 of it on each side.
    assert dice.value == pytest.approx(80)
    assert 2 * 1.5 * 2.3 < dice.high - dice.low < 2 * 2.5 * 2.3


def test_a_commit_that_is_measured_again_is_there_once_and_another_machine_beside_it(tmp_path: Path) -> None:
    paths = [record(tmp_path, result(size=size), commit_at(0)) for size in (1_000_000, 2_000_000)]
    other = record(tmp_path, on_machine(result(), "Another CPU"), commit_at(0))
    assert paths[0] == paths[1] != other
    assert sorted(tmp_path.iterdir()) == sorted({paths[0], other})
    entries = {entry.environment.cpu: entry for entry in read_history(tmp_path)}
    assert [f.value for f in entries["Some CPU"].figures if (f.file, f.name) == ("model.int8.tflite", "size")] == [2.0]


def test_the_order_is_that_of_the_dates(tmp_path: Path) -> None:
    write_history(tmp_path, [0.3] * 5)
    assert [entry.commit for entry in read_history(tmp_path)] == [commit_at(position) for position in range(5)]


def test_a_new_library_is_the_same_machine_and_another_number_of_cores_is_not() -> None:
    e = result().environment
    assert machine_key(dataclasses.replace(e, libraries=(("numpy", "9"),), system="Linux 7.0")) == machine_key(e)
    assert machine_key(dataclasses.replace(e, cores=e.cores + 1)) != machine_key(e)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("schema", 2, "history schema 2 is not 1"),
        ("figures", [], ""),
        ("commit", {"name": "../a", "date": commit_at(0).date}, "cannot name a commit"),
        ("commit", {"name": "a", "date": "2026-01-01"}, "no time zone"),
        ("commit", {"name": "a", "date": "2026-01-01T00:00:00+01:00"}, "not ISO 8601 in UTC"),
        ("more", 1, "has no option 'more'"),
    ],
)
def test_a_file_that_is_no_entry_is_named(key: str, value: object, reason: str, tmp_path: Path) -> None:
    path = record(tmp_path, result(), commit_at(0))
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    if not reason:
        assert read_history(tmp_path)[0].figures == ()
        return
    with pytest.raises(ArtifactError, match=f"{re.escape(str(path))} is not of a history: .*{reason}"):
        read_history(tmp_path)


def test_a_figure_that_is_there_twice_and_a_second_file_of_a_commit_are_refused(tmp_path: Path) -> None:
    path = record(tmp_path, result(), commit_at(0))
    shutil.copy(path, tmp_path / "copy.json")
    with pytest.raises(ArtifactError, match=r"copy\.json .*of the same commit and machine|copy\.json are of the same"):
        read_history(tmp_path)
    (tmp_path / "copy.json").unlink()
    text = json.loads(path.read_text())
    path.write_text(json.dumps({**text, "figures": text["figures"][:1] * 2}))
    with pytest.raises(ArtifactError, match="a file has a figure twice"):
        read_history(tmp_path)


def test_a_folder_without_a_history_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="holds no history"):
        read_history(tmp_path)
    with pytest.raises(ArtifactError, match="absent is not a folder"):
        read_history(tmp_path / "absent")


def git(folder: Path, *arguments: str) -> str:
    names = ("-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *names, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_commit_is_the_one_that_is_checked_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-03-04T05:06:07+02:00")
    git(tmp_path, "init", "-q")
    file = tmp_path / "a.txt"
    file.write_text("one")
    git(tmp_path, "add", "a.txt")
    git(tmp_path, "commit", "-qm", "First")
    sha = git(tmp_path, "rev-parse", "HEAD")
    (tmp_path / "untracked.txt").write_text("an output")
    assert find_commit(tmp_path) == Commit(sha, "2026-03-04T03:06:07+00:00")
    file.write_text("two")
    assert find_commit(tmp_path) == Commit(f"{sha}-dirty", "2026-03-04T03:06:07+00:00")
    assert find_commit(tmp_path, sha[:12]) == Commit(sha[:12], "2026-03-04T03:06:07+00:00"), "the name as it was given"


def test_outside_of_a_repository_a_commit_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ConfigError, match=r"not known \(fatal: .*Name it with --commit"):
        find_commit(tmp_path)
    assert find_commit(tmp_path, "v1.2").name == "v1.2"
    with pytest.raises(ConfigError, match="--commit '--all' cannot name a commit"):
        find_commit(tmp_path, "--all")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="git cannot be run"):
        find_commit(tmp_path)
