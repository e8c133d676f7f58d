from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.recorded_progress import RecordedProgress
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.atomic import atomic_path
from u3p_edge.pipeline.staging import MARKER, drop, key_of, open_staging
from u3p_edge.run_folder import hold


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
    assert [path.name for path in staging.folder.iterdir()] == [MARKER]
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
    (tmp_path / ".notes.partial.txt").write_text("somebody else's")
    with hold(tmp_path):
        assert not partial.exists()
    assert [path.name for path in tmp_path.iterdir()] == [".notes.partial.txt"]


def test_the_parts_of_a_key_do_not_run_together() -> None:
    assert len({key_of("ab", "c"), key_of("a", "bc"), key_of("abc"), key_of("c", "ab")}) == 4
    assert key_of("a", "b") == key_of("a", "b")


def test_a_fresh_start_makes_every_file_anew(tmp_path: Path) -> None:
    open_staging(tmp_path, "key").file("a.bin", lambda: b"first")
    assert open_staging(tmp_path, "key", fresh=True).file("a.bin", lambda: b"second").read_bytes() == b"second"


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:2])


def change_a_bit(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def lose_its_sha256(path: Path) -> None:
    path.with_name(path.name + ".sha256").unlink()


def put_a_folder_there(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("")


@pytest.mark.parametrize("damage", [cut, change_a_bit, lose_its_sha256, put_a_folder_there])
def test_a_damaged_file_is_made_anew_with_a_sentence_about_it(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    damage(open_staging(tmp_path, "key").file("a.bin", lambda: b"first"))
    progress = RecordedProgress()
    again = open_staging(tmp_path, "key", progress=progress)
    assert again.file("a.bin", lambda: b"second").read_bytes() == b"second"
    assert progress.notes == [f"{again.folder / 'a.bin'} was damaged, so it is made anew."]
    assert again.file("a.bin", refuse).read_bytes() == b"second"


def test_a_folder_without_our_marker_is_somebody_elses(tmp_path: Path) -> None:
    foreign = [tmp_path / name for name in (".staging-mine", ".u3p-edge-staging-mine")]
    for folder in foreign:
        folder.mkdir()
        (folder / "notes.txt").write_text("kept")
    (tmp_path / ".u3p-edge-staging-link").symlink_to(foreign[0])
    open_staging(tmp_path, "key", fresh=True)
    assert [(folder / "notes.txt").read_text() for folder in foreign] == ["kept", "kept"]
    (open_staging(tmp_path, "other").folder / MARKER).unlink()
    own = open_staging(tmp_path, "other").folder
    (own / "notes.txt").write_text("kept")
    (own / MARKER).unlink()
    with pytest.raises(ArtifactError, match="not ours"):
        open_staging(tmp_path, "other")
    drop(own)
    assert (own / "notes.txt").read_text() == "kept"


# --- decisions


def test_a_decision_is_made_once_and_listed_by_its_part(tmp_path: Path) -> None:
    staging = open_staging(tmp_path, "key")
    assert staging.decide("method", lambda: "qat") == "qat"
    assert staging.part("prune0").decide("plan", lambda: {"a": [1, 2]}) == {"a": [1, 2]}
    staging.file("a.bin", lambda: b"no decision")
    again = open_staging(tmp_path, "key")
    assert again.decide("method", refuse) == "qat"
    assert again.part("prune0").decide("plan", refuse) == {"a": [1, 2]}
    assert again.decisions() == {"method": "qat", "prune0/plan": {"a": [1, 2]}}


def test_under_a_lock_nothing_is_decided_and_nothing_guessed(tmp_path: Path) -> None:
    lock = {"method": "ptq", "prune0/plan": [3], "pruned": False}
    staging = open_staging(tmp_path, "key", lock=lock)
    assert staging.decide("method", refuse) == "ptq"
    assert staging.part("prune0").decide("plan", refuse) == [3]
    assert staging.decide("pruned", refuse) is False
    for part, name in ((staging, "plan"), (staging.part("prune1"), "plan"), (staging.part("prune0"), "method")):
        with pytest.raises(ConfigError, match=rf"no decision '{part.part_of}{name}'.*Export without --locked"):
            part.decide(name, refuse)
    assert staging.decisions() == lock
