from __future__ import annotations

from pathlib import Path

import pytest

from u3p_edge.artifact import atomic_path
from u3p_edge.pipeline.staging import key_of, open_staging


def refuse() -> bytes:
    raise AssertionError("made a second time")


def test_a_file_is_made_once(tmp_path: Path) -> None:
    path = open_staging(tmp_path, "key").file("a.bin", lambda: b"first")
    assert path.read_bytes() == b"first"
    assert open_staging(tmp_path, "key").file("a.bin", refuse) == path
    assert path.read_bytes() == b"first"


def test_a_file_whose_making_fails_is_not_there_and_is_made_again(tmp_path: Path) -> None:
    staging = open_staging(tmp_path, "key")
    with pytest.raises(AssertionError):
        staging.file("a.bin", refuse)
    assert list(staging.folder.iterdir()) == []
    assert staging.file("a.bin", lambda: b"second").read_bytes() == b"second"


def test_another_key_drops_what_was_staged_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    old = open_staging(tmp_path, "model", "data")
    old.file("a.bin", lambda: b"old")
    new = open_staging(tmp_path, "model", "other data")
    assert new.folder != old.folder
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([new.folder.name, "mine.txt"])


def test_what_a_kill_left_half_written_is_removed(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "model.int8.tflite") as partial:
        partial.write_bytes(b"whole")
    (tmp_path / "model.int8.tflite").rename(partial)  # as a kill leaves it
    open_staging(tmp_path, "key")
    assert [path.name.startswith(".staging-") for path in tmp_path.iterdir()] == [True]


def test_the_parts_of_a_key_do_not_run_together() -> None:
    assert len({key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("c", "ab")}) == 4
    assert key_of("a", "b") == key_of("a", "b")


def test_a_fresh_start_makes_every_file_anew(tmp_path: Path) -> None:
    open_staging(tmp_path, "key").file("a.bin", lambda: b"first")
    assert open_staging(tmp_path, "key", fresh=True).file("a.bin", lambda: b"second").read_bytes() == b"second"
