"""Output folders through the real command line: one sentence before the work, and nobody else's file is touched."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import QUICK, Program, refusal
from tests.support.small_artifacts import Zoo
from u3p_edge.cache import FOLDER, default_folder
from u3p_edge.cli.bench import command_line

HOLD = """
import sys, time
from pathlib import Path
from u3p_edge.run_folder import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""
TRAINING = ("--size", "48x64", "--width", 2, "--epochs", 1)


@pytest.fixture(params=["export", "train"])
def arguments(request: pytest.FixtureRequest, keras_files: dict[str, Path], pictures: Path) -> tuple[object, ...]:
    """Of a command that writes a folder, all but `--out`."""
    if request.param == "train":
        return ("train", pictures, *TRAINING)
    return ("export", keras_files[".keras"], "--data", pictures, *QUICK)


@pytest.fixture
def no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that is read ends the test."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise AssertionError("it began to read images")

    for module in ("u3p_edge.data.images", "u3p_edge.data.stacks"):
        monkeypatch.setattr(f"{module}.read_image", refuse)


@pytest.mark.usefixtures("no_work")
def test_what_cannot_be_a_folder_is_one_sentence(program: Program, arguments: tuple[object, ...], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    bytes_ = Path(os.fsdecode(bytes(tmp_path / "run") + b"\xff"))
    for out, said in (
        (tmp_path / "file", "is a file, not a folder. Give another --out folder."),
        (tmp_path / "loop", "is a symbolic link that leads nowhere. Give another --out folder."),
        (bytes_, r"run\xff is not UTF-8. Give another --out folder."),
    ):
        assert refusal(program(*arguments, "--out", out)).endswith(said)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "loop"]
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.usefixtures("no_work")
def test_somebody_elses_files_are_refused(program: Program, arguments: tuple[object, ...], tmp_path: Path) -> None:
    name = {"export": "report.md", "train": "history.csv"}[str(arguments[0])]
    mine = {name: "mine", ".staging-mine": "notes", ".notes.partial.txt": "notes"}
    for file, text in mine.items():
        (tmp_path / file).write_text(text)
    again = "--restart" if arguments[0] == "train" else "--force"
    for options in ((), (again,)):
        message = refusal(program(*arguments, "--out", tmp_path, *options))
        assert message.startswith(
            f"{tmp_path / name} would be replaced, and no manifest of this program names it. Move it away"
        )
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == mine


@pytest.mark.usefixtures("no_work")
def test_a_folder_that_another_process_writes_is_refused(
    program: Program, arguments: tuple[object, ...], tmp_path: Path
) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        try:
            message = refusal(program(*arguments, "--out", tmp_path))
        finally:
            other.send_signal(signal.SIGKILL)
    assert message.startswith(
        f"{tmp_path} is being written by another process (pid {other.pid} on {socket.gethostname()}). Wait"
    )


@pytest.mark.usefixtures("no_work")
def test_masks_need_a_folder_too(program: Program, zoo: Zoo, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    message = refusal(program("predict", zoo.path("int8.tflite"), pictures / "images", "--out", tmp_path / "file"))
    assert message == f"{tmp_path / 'file'} is a file, not a folder. Give another --out folder."


@pytest.mark.parametrize("command", [("bench", "--save"), ("bench", "--report"), ("device", "--out")])
def test_a_file_cannot_take_a_folders_place(
    program: Program, zoo: Zoo, tmp_path: Path, command: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, work in (("u3p_edge.pipeline.bench", "measure"), ("u3p_edge.tools.device_profile", "measure_table")):
        monkeypatch.setattr(f"{module}.{work}", None)  # nothing is measured before
    name, option = command
    line = (name, "profile") if name == "device" else (name,)
    message = refusal(program(*line, zoo.path("float32.tflite"), option, tmp_path))
    assert message == f"{tmp_path} is a folder, not a file. Name a file in it."


def test_a_model_whose_name_is_not_utf_8_is_one_sentence(program: Program, zoo: Zoo, pictures: Path, tmp_path: Path) -> None:
    for kind in ("int8.tflite", "int8.onnx"):
        path = Path(os.fsdecode(bytes(tmp_path) + b"/m\xff.") + kind)
        shutil.copyfile(zoo.path(kind), path)
        for command in (("bench", path), ("inspect", path), ("predict", path, pictures / "images")):
            assert refusal(program(*command)).endswith(rf"m\xff.{kind} is not in UTF-8. Rename it.")


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert command_line(["", "bench", "/home/somebody/a.tflite"]) == "u3p-edge bench ~/a.tflite"
    for home in ("/", ".", ""):
        monkeypatch.setenv("HOME", home)
        assert command_line(["", "bench", "./a.tflite"]) == "u3p-edge bench ./a.tflite"
    monkeypatch.delenv("HOME")

    def nobody(user: int) -> None:
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert command_line(["", "bench", "a.tflite"]) == "u3p-edge bench a.tflite"
    for name in (FOLDER, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert default_folder().name == "u3p_edge"
