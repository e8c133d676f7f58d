"""Disks that fill up, folders that cannot be written and exports that are killed: one sentence, and nothing half-written."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import QUICK, Program, command, left_in, refusal
from tests.support.exported_files import CHOICE, MODELS, NETWORK, REPORTS, REWRITES
from tests.support.slow import mark_slow
from tests.support.small_artifacts import Zoo
from u3p_edge.manifest import read_manifest, sha256_of

# --- disks and folders


@contextlib.contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """The system refuses to write any file beyond `size` bytes; Python ignores SIGXFSZ, so that write() fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """A file system of so many KiB, for tests that run as a user who may mount one."""
    disk = tmp_path / "disk"

    def make(kib: int) -> Path:
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "none", str(disk)], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("mounting a file system is not allowed here")
        return disk

    yield make
    subprocess.run(["umount", str(disk)], capture_output=True, check=False)


def test_a_mask_beyond_the_file_limit(program: Program, zoo: Zoo, image: Path, tmp_path: Path) -> None:
    with no_file_beyond(32):  # the signature of a PNG and a little more
        message = refusal(program("predict", zoo.path("int8.tflite"), image, "--out", tmp_path / "out"))
    assert message.startswith(f"{tmp_path / 'out' / 'scan.png'} cannot be written: File too large.")
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize("kib", mark_slow([4, 16, 32, 64, 96], [16, 32, 64]))
def test_an_export_onto_a_disk_that_fills_up(
    program: Program, keras_files: dict[str, Path], pictures: Path, small_disk: Callable[[int], Path], kib: int
) -> None:
    # Six staged files of 5 to 6 kB, four of them twice, report and picture about 90 kB: it ends at another one each time.
    out = small_disk(kib) / "out"
    done = program("export", keras_files[".keras"], "--int8", "--ptq", "--data", pictures, "--out", out, *QUICK)
    message = refusal(done)
    assert "cannot be written: No space left on device" in message
    assert str(out) in message
    kept = left_in(out)
    models = [name for name in kept if name.startswith("model.")]
    assert models in ([], MODELS), "all of them or none"
    for artifact in read_manifest(out).artifacts:
        assert sha256_of(out / artifact.file) == artifact.sha256
    assert ("report.json" in kept) == bool(models), "models and reports get their names together"


@pytest.mark.parametrize("kib", mark_slow([4, 8], [8]))
def test_a_training_onto_a_disk_that_fills_up(
    program: Program, pictures: Path, small_disk: Callable[[int], Path], kib: int
) -> None:
    out = small_disk(kib) / "out"
    message = refusal(
        program("train", pictures, "--out", out, "--size", "48x64", "--width", 2, "--epochs", 1, "--no-deep-supervision")
    )
    assert str(out) in message
    assert "cannot be written" in message
    left_in(out)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_full_temporary_folder(
    program: Program,
    keras_files: dict[str, Path],
    small_disk: Callable[[int], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
) -> None:
    disk = small_disk(4)
    monkeypatch.setattr(tempfile, "tempdir", str(disk))
    message = refusal(program("export", keras_files[suffix], "--out", tmp_path / "out"))
    assert message.startswith(f"{keras_files[suffix]} cannot be read: {disk} is full")


@pytest.mark.parametrize("command_name", ["export", "predict", "train", "bench"])
def test_a_folder_that_cannot_be_written(
    program: Program, zoo: Zoo, keras_files: dict[str, Path], pictures: Path, image: Path, tmp_path: Path, command_name: str
) -> None:
    # Rights do not stop the superuser, a file in the folder's place does.
    (tmp_path / "file").write_text("mine")
    out = tmp_path / "file" / "out"
    arguments: dict[str, tuple[Any, ...]] = {
        "export": (keras_files[".keras"], "--int8", "--data", pictures, "--out", out),
        "predict": (zoo.path("int8.tflite"), image, "--out", out),
        "train": (pictures, "--out", out, "--size", "48x64", "--width", 2),
        "bench": (zoo.path("int8.tflite"), "--save", out / "r.json"),
    }
    message = refusal(program(command_name, *arguments[command_name]))
    assert f"{out}" in message
    assert "cannot be written: Not a directory" in message
    assert (tmp_path / "file").read_text() == "mine"


def test_what_the_system_refuses_anywhere(program: Program, image: Path, tmp_path: Path) -> None:
    # No code of ours looks for this error; from Python 3.12 on, such a file merely does not exist.
    message = refusal(program("predict", "x" * 300 + ".tflite", image, "--out", tmp_path / "out"))
    assert message.endswith(("File name too long", "does not exist"))
    assert "xxx" in message


# --- interruptions


def kill_when(there: Callable[[], bool], arguments: list[str]) -> None:
    """Start a command, and kill it the moment that something is there."""
    process = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while not there():
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow  # tests/test_crash_consistency.py kills an export at its file operations
@pytest.mark.parametrize("moment", ["converting", "measuring"])
def test_an_export_that_was_killed_goes_on(
    program: Program, keras_files: dict[str, Path], pictures: Path, tmp_path: Path, moment: str
) -> None:
    out = tmp_path / "out"
    arguments = ("export", keras_files[".keras"], "--int8", "--ptq", "--data", pictures, "--out", out, *QUICK)
    last = {"converting": "ptq.tflite", "measuring": "ready/model.int8.onnx"}[moment]
    kill_when(lambda: any(out.glob(f".u3p-edge-staging-*/{last}")), command(*arguments))
    assert [path.name for path in out.iterdir() if not path.name.startswith(".")] == [], "all files get their names together"
    done = program(*arguments)
    assert done.code == 0, done.err
    assert "Convert float32 to TFLite" not in done.err
    assert "Choose rewrites" not in done.err
    assert "Calibrate" not in done.err
    assert "Measure memory and cold start in fresh processes" in done.err
    assert left_in(out) == sorted(["manifest.json", *MODELS, NETWORK, CHOICE, REWRITES, *REPORTS])
    assert not list(out.glob(".*")), "staging and partial files are gone"
