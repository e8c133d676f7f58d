"""A folder that a command writes to: who owns what in it, one writer at a time, and what a kill leaves."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recorded_progress import RecordedProgress
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.atomic import atomic_path, read_json, write_bytes, write_text
from u3p_edge.manifest import MANIFEST, Artifact, Manifest, describe, is_whole, read_manifest, write_manifest
from u3p_edge.run_folder import HOLDER, LOCK, check_ours, check_output_folder, hold, open_manifest

NAMES = ("model.bin", "report.md")
HOLD = """
import sys, time
from pathlib import Path
from u3p_edge.run_folder import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def whole_run(folder: Path) -> Manifest:
    write_bytes(folder / "model.bin", b"weights")
    manifest = Manifest((describe(folder / "model.bin", "bin"),))
    write_manifest(folder, manifest)
    return manifest


# --- names


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "/dev/zero", "a/b", "a\\b", "a\0b"])
def test_a_manifest_names_plain_files_alone(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="not a plain file name"):
        Artifact(name, "bin", "", 0)
    with pytest.raises(ConfigError, match="not a plain file name"):
        Manifest(claims=(name,))
    artifact = {"file": name, "format": "bin", "sha256": "", "bytes": 0}
    (tmp_path / MANIFEST).write_text(json.dumps({"artifacts": [artifact]}))
    with pytest.raises(ArtifactError, match=r"manifest\.json is not a manifest of this program"):
        read_manifest(tmp_path)


def test_only_a_regular_file_is_whole(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a", b"abc")
    known = describe(tmp_path / "a", "bin")
    assert is_whole(known, tmp_path)
    write_bytes(tmp_path / "a", b"abd")
    assert not is_whole(known, tmp_path)
    (tmp_path / "a").unlink()
    assert not is_whole(known, tmp_path)
    for make in (lambda path: path.symlink_to("/dev/zero"), os.mkfifo, Path.mkdir):
        make(tmp_path / "a")
        assert not is_whole(known, tmp_path), "and it does not wait for an end that never comes"
        (tmp_path / "a").rmdir() if (tmp_path / "a").is_dir() else (tmp_path / "a").unlink()


def test_a_manifest_that_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / MANIFEST)
    with pytest.raises(ArtifactError, match="is not a regular file"):
        read_json(tmp_path / MANIFEST)
    with pytest.raises(ArtifactError, match="not a manifest of this program"):
        open_manifest(tmp_path, NAMES, force=True)


# --- whose file


def test_a_file_that_no_manifest_names_is_refused(tmp_path: Path) -> None:
    manifest = whole_run(tmp_path)
    check_ours(tmp_path, manifest, NAMES, ("tb",))
    (tmp_path / "report.md").write_text("mine")
    with pytest.raises(
        ArtifactError, match=r"report\.md would be replaced, and no manifest of this program names it.*Move it away"
    ):
        check_ours(tmp_path, manifest, NAMES)
    check_ours(tmp_path, manifest.with_claims(("report.md",)), NAMES)
    (tmp_path / "report.md").unlink()
    (tmp_path / "report.md").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ArtifactError, match=r"report\.md would be replaced"):
        check_ours(tmp_path, manifest, NAMES)


def test_a_folder_under_the_name_of_a_file_is_in_the_way(tmp_path: Path) -> None:
    manifest = Manifest(claims=("report.md", "tb"))
    (tmp_path / "report.md").mkdir()
    with pytest.raises(ArtifactError, match=r"report\.md is in the way: it is a folder"):
        check_ours(tmp_path, manifest, NAMES)
    (tmp_path / "tb").write_text("")
    with pytest.raises(ArtifactError, match="tb is in the way: it is no folder"):
        check_ours(tmp_path, manifest, (), ("tb",))


# --- damaged manifests


@given(length=st.integers(min_value=0))
def test_a_manifest_that_was_cut_short_is_made_anew(tmp_path_factory: pytest.TempPathFactory, length: int) -> None:
    folder = tmp_path_factory.mktemp("run")
    whole_run(folder)
    text = (folder / MANIFEST).read_bytes()
    (folder / MANIFEST).write_bytes(text[: length % (len(text) - 1)])  # without the last newline it is still whole
    progress = RecordedProgress()
    manifest = open_manifest(folder, NAMES, progress=progress)
    assert manifest.names == {MANIFEST, "model.bin"}, "what is there under our names is ours; what is not, is not"
    (sentence,) = progress.notes
    assert sentence.startswith(f"{folder / MANIFEST} is damaged")


@pytest.mark.parametrize("text", ["\0" * 100, '{"artifacts": 3}', '{"artifacts": [{"file": "../x"}], "key": ""}'])
def test_a_manifest_with_wrong_values_is_made_anew(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    assert open_manifest(tmp_path, NAMES) == Manifest()


@pytest.mark.parametrize("text", ['{"name": "app", "icons": []}', "[]", '{"artifacts": [], "name": "app"}'])
def test_somebody_elses_manifest_is_refused_whatever_is_forced(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    for force in (False, True):
        with pytest.raises(ArtifactError, match=r"manifest\.json is not a manifest of this program, and would be replaced"):
            open_manifest(tmp_path, NAMES, force=force)


def test_a_manifest_that_is_no_json_is_replaced_only_by_force(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_bytes(b"\x8f\x02 noise")
    with pytest.raises(ArtifactError, match="not a manifest of this program"):
        open_manifest(tmp_path, NAMES)
    assert open_manifest(tmp_path, NAMES, force=True) == Manifest()


# --- one writer at a time


def test_a_second_process_is_refused_with_the_first_ones_pid_and_host(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        try:
            with pytest.raises(ArtifactError) as caught, hold(tmp_path):
                pass
        finally:
            first.send_signal(signal.SIGKILL)
    who = f"(pid {first.pid} on {socket.gethostname()})"
    assert str(caught.value).startswith(f"{tmp_path} is being written by another process {who}. Wait until it has ended")
    # The lock of a process that was killed is taken over, and nothing is left of it.
    assert sorted(path.name for path in tmp_path.iterdir()) == [LOCK, HOLDER]
    with hold(tmp_path):
        assert read_json(tmp_path / HOLDER)["pid"] == os.getpid()
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_half_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".notes.partial.txt", "notes.partial", ".staging-mine"):
        (tmp_path / name).write_text("kept")
    with atomic_path(tmp_path / "a.json") as partial:
        partial.write_text("{}")
    (tmp_path / "a.json").rename(partial)  # as a kill leaves it
    with hold(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".notes.partial.txt", ".staging-mine", "notes.partial"]


# --- folders that cannot be


def test_a_folder_that_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "absent")
    undecodable = Path(os.fsdecode(bytes(tmp_path / "run") + b"\xff"))
    for path, said in (
        (tmp_path / "file", "file is a file, not a folder"),
        (tmp_path / "loop", "loop is a symbolic link that leads nowhere"),
        (tmp_path / "nowhere", "nowhere is a symbolic link that leads nowhere"),
        (undecodable, r"run\xff is not UTF-8"),
    ):
        for use in (check_output_folder, lambda path: hold(path).__enter__()):
            with pytest.raises(ArtifactError) as caught:
                use(path)
            assert said in str(caught.value)
            assert "Give another --out folder." in str(caught.value)
    check_output_folder(tmp_path)
    check_output_folder(tmp_path / "new" / "folder")
    assert not (tmp_path / "new").exists()


def test_a_name_that_is_not_utf_8_can_be_written_down(tmp_path: Path) -> None:
    name = os.fsdecode(b"scan\xff.png")
    write_text(tmp_path / "report.md", f"the image {name}")
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == r"the image scan\udcff.png"
