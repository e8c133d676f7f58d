"""Commands of a device run with the base installation alone, each in a process that cannot import anything else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.command_line import Ended, refusal, run_process
from tests.support.missing_packages import NOT_ON_A_DEVICE, blocking
from tests.support.small_artifacts import Zoo

BENCH = ("--threads", "1", "--rounds", "5", "--memory", "1")


def run_on_device(*arguments: object, also: str = "") -> Ended:
    """Run a command without the modules of every extra.

    Args:
        arguments: the command and its arguments.
        also: ai_edge_litert, to do without it and have onnxruntime instead.
    """
    blocked = {*NOT_ON_A_DEVICE, also} - ({"onnxruntime"} if also else set())
    return run_process(*arguments, code=blocking(tuple(blocked)) + "from u3p_edge.cli.main import main; main()")


@pytest.mark.parametrize(("kind", "also"), [("int8.tflite", ""), ("int8.onnx", "ai_edge_litert")])
def test_predict_needs_one_runtime(kind: str, also: str, zoo: Zoo, pictures: Path, tmp_path: Path) -> None:
    image = pictures / "images" / "p0.png"
    done = run_on_device("predict", zoo.path(kind), image, "--out", tmp_path / "out", "--overlay", also=also)
    assert done.code == 0, done.err
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_bench_and_gate(zoo: Zoo, pictures: Path, tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    files = (zoo.path("float32.tflite"), zoo.path("int8.tflite"))
    done = run_on_device("bench", *files, "--data", pictures, "--save", result, "--report", tmp_path / "r.md", *BENCH)
    assert done.code == 0, done.err
    assert "model.int8.tflite" in done.out
    done = run_on_device("gate", result, result)
    assert done.code == 0, done.err


def test_data_check(pictures: Path) -> None:
    done = run_on_device("data", "check", pictures, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["problems"] == []


def test_inspect_reads_a_tflite_file(zoo: Zoo) -> None:
    done = run_on_device("inspect", zoo.path("int8.tflite"), "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["number"] == "int8"


@pytest.mark.parametrize("command", ["export", "train", "rewrite", "recipes"])
def test_help_and_recipes_are_shown(command: str) -> None:
    done = run_on_device(command, *(() if command == "recipes" else ("--help",)))
    assert done.code == 0, done.err


@pytest.mark.parametrize("words", [("export", "--int8"), ("train",), ("rewrite",), ("inspect",)])
def test_a_command_that_needs_more_names_the_extra(words: tuple[str, ...], pictures: Path, tmp_path: Path) -> None:
    data = (pictures,) if words == ("train",) else ()
    out = ("--out", tmp_path / "out") if words[0] in ("export", "train") else ()
    message = refusal(run_on_device(*words, *data, *out))
    mend = r"Run: python -m pip install 'u3p-edge\[export\]'"
    assert re.fullmatch(rf"\w+ is not installed, and (this command|training|inspecting this model) needs it\. {mend}", message)
    assert not (tmp_path / "out").exists()
