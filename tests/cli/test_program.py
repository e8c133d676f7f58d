"""The program itself: light to start, quiet, helpful, and true in its exit codes."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.command_line import QUICK, Program, command, refusal, run_process
from tests.support.small_artifacts import Zoo
from u3p_edge import __version__

COMMANDS = (
    *("export", "recipes list", "recipes show", "train", "predict", "bench", "gate", "inspect", "rewrite"),
    *("data check", "device profile"),
)

HEAVY = {
    "tensorflow", "tf_keras", "keras", "tensorflow_model_optimization", "tf2onnx", "tensorboard",
    "numpy", "scipy", "PIL", "h5py", "safetensors", "onnx", "onnxruntime", "ai_edge_litert",
}  # fmt: skip
"""What takes a noticeable part of the half second that a program's start may take."""

NOISE = ("oneDNN", "cudart", "absl", "WARNING", "INFO:", "W0000", "I0000", "E0000", "TfLite", "fully_quantize")

LOADED = """
import sys
{code}
print("loaded:", *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""
HELP = """
from u3p_edge.cli.main import main
try:
    main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""


def loaded(code: str, *arguments: str) -> tuple[set[str], str]:
    """The top-level packages that are loaded after some code has run, and what it printed."""
    done = run_process(*arguments, code=LOADED.format(code=code))
    assert done.code == 0, done.err
    text, _, names = done.out.rpartition("loaded: ")
    return set(names.split()), text


def test_importing_the_package_loads_nothing() -> None:
    names, _ = loaded("import u3p_edge")
    assert "u3p_edge" in names
    assert not names & (HEAVY | {"typer", "rich"})


def test_help_loads_nothing_heavy() -> None:
    names, text = loaded(HELP, "--help")
    assert not names & HEAVY
    for name in COMMANDS:
        assert name.split()[0] in text
    assert "u3p-edge export --int8" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_command_shows_an_example(program: Program, name: str) -> None:
    done = program(*name.split(), "--help")
    assert done.code == 0
    assert re.search(rf"^ +u3p-edge {name}(?: [^\[]|$)", done.out, re.MULTILINE), "besides `Usage:`"


def test_the_help_of_every_command_loads_nothing_heavy() -> None:
    calls = [[*name.split(), "--help"] for name in COMMANDS]
    each = HELP.replace("main()\n", "sys.argv[1:] = call; main()\n").replace("\n", "\n    ")
    names, text = loaded(f"for call in {calls!r}:\n    {each}")
    assert not names & HEAVY
    assert text.count("Usage: ") == len(COMMANDS)


def test_version(program: Program) -> None:
    done = program("--version")
    assert (done.code, done.out.strip()) == (0, f"u3p-edge {__version__}")


def test_no_arguments_show_the_help(program: Program) -> None:
    done = program()
    assert "export" in done.out + done.err
    assert "Traceback" not in done.err


def test_a_word_that_is_no_command_or_option_ends_with_2(program: Program, tmp_path: Path) -> None:
    for arguments in (("exprot",), ("export", "--formats"), ("predict",), ("export", "--rounds", "1")):
        done = program(*arguments)
        assert done.code == 2
        assert "Traceback" not in done.err
    assert "pdf" in refusal(program("export", "--formats", "pdf", "--out", tmp_path / "out"))
    assert "exclude each other" in refusal(program("export", "--ptq", "--qat-epochs", 2, "--out", tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_gate_ends_with_0_1_or_3(program: Program, tmp_path: Path) -> None:
    from tests.support.sample_results import result
    from u3p_edge.benchmark.result_file import save_result

    kept, worse, other = (tmp_path / f"{name}.json" for name in ("kept", "worse", "other"))
    save_result(kept, result())
    save_result(worse, result(dice=0.5))
    save_result(other, dataclasses.replace(result(), class_names=("background", "a", "b")))
    assert program("gate", kept, kept).code == 0
    assert program("gate", kept, worse).code == 1
    assert program("gate", kept, other).code == 3
    refusal(program("gate", kept, tmp_path / "absent.json"))


def test_export_is_quiet_and_ctrl_c_ends_it_with_130(keras_files: dict[str, Path], pictures: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ("export", keras_files[".keras"], "--int8", "--data", pictures, "--out", out, "--qat-epochs", 1, *QUICK)
    kept = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    started = subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=kept, start_new_session=True
    )
    # By the time that the last file is verified every library was loaded and has said what it had to say.
    while not any(out.glob(".u3p-edge-staging-*/ready/model.int8.onnx")):
        assert started.poll() is None, "it ended before it could be stopped"
        time.sleep(0.01)
    os.kill(started.pid, signal.SIGINT)
    printed, said = started.communicate()
    assert started.returncode == 130
    assert said.rstrip().endswith("u3p-edge: interrupted; the same command goes on where it was, or begins again")
    assert "Train under fake quantization" in said
    for text in (printed, said):
        assert not [word for word in (*NOISE, "Traceback") if word in text]


def test_a_bug_keeps_its_traceback(zoo: Zoo) -> None:
    code = "import u3p_edge.tools.inspect as p; p.inspect = lambda *a, **k: 1 / 0; from u3p_edge.cli.main import main; main()"
    done = run_process("inspect", zoo.path("int8.tflite"), code=code)
    assert done.code == 70
    assert "ZeroDivisionError" in done.err
