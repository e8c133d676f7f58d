"""Numbers that nobody means, and what is no mistake of the user's, through the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from tests.support.command_line import Program, refusal, run_process
from tests.support.small_artifacts import Zoo
from tests.support.tflite_models import graph
from u3p_edge.config.limits import MAX_THREADS
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.graph.ir import Node


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--size", "²x16"), "--size '²x16' is not HEIGHTxWIDTH"),
        (("--size", "1" * 5000 + "x16"), "is not HEIGHTxWIDTH"),
        (("--seed", 2**32), "seed cannot be 4294967296"),
        (("--width", 10**9), "base_width cannot be 1000000000"),
        (("--lr", "nan"), "cannot be nan"),
    ],
)
def test_numbers_that_training_cannot_use(
    program: Program, pictures: Path, tmp_path: Path, options: tuple[object, ...], reason: str
) -> None:
    message = refusal(program("train", pictures, "--out", tmp_path / "out", *options))
    assert reason in message
    assert not (tmp_path / "out").exists()


def test_more_threads_than_a_runtime_survives(program: Program, zoo: Zoo) -> None:
    for command, rest in (("bench", ()), ("predict", ("x.png", "--out", "y")), ("inspect", ())):
        done = program(command, zoo.path("int8.tflite"), *rest, "--threads", 10**5)
        assert done.code == 2
        assert str(MAX_THREADS) in done.err


def test_a_small_file_that_asks_for_gigabytes(program: Program, tmp_path: Path) -> None:
    nodes = [Node("y", "upsample", ("image",), {"size": (1024, 1024), "interpolation": "nearest"})]
    path = tmp_path / "model.tflite"
    path.write_bytes(write_tflite(graph(nodes), default_metadata(Preprocessing(16, 16), 2), layouts=False))
    for command, rest in (("inspect", ()), ("bench", ()), ("predict", (tmp_path, "--out", tmp_path / "out"))):
        if command == "predict":
            Image.new("L", (8, 8)).save(tmp_path / "a.png")
        message = refusal(program(command, path, *rest, "--max-memory-mb", 512))
        assert str(path) in message
        assert "would take about 2,416 MB of memory, more than the 512 MB that are allowed" in message


def test_want_of_memory_is_reported_with_its_figure(zoo: Zoo) -> None:
    code = (
        "import u3p_edge.tools.inspect as p, numpy as np; p.inspect = lambda *a, **k: np.empty(2**55, np.uint8); "
        "from u3p_edge.cli.main import main; main()"
    )
    done = run_process("inspect", zoo.path("int8.tflite"), code=code)
    assert done.code == 2
    assert "there is not enough memory for inspect: Unable to allocate 32.0 PiB" in done.err
    assert "Traceback" not in done.err


def test_the_help_tells_the_exit_codes(program: Program) -> None:
    message = " ".join(program("--help").out.split())
    assert "Exit codes: 0 done; 1 a verification or the gate failed" in message
    assert "70 a bug of this program" in message
