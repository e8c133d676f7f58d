"""The scripts of examples/ run one after the other, each on what the first left."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hasty_measuring import measure_hastily
from tests.support.missing_packages import NOT_ON_A_DEVICE, blocking
from tests.support.paths import REPOSITORY

EXAMPLES = REPOSITORY / "examples"
RECIPE = """
formats = ["tflite"]
quantization.method = "ptq"
rewriting.enabled = false
measurement.rounds = 5
"""


def run_here(name: str, *arguments: object) -> None:
    """Run an example as a program, in this process, which has loaded TensorFlow already."""
    with pytest.MonkeyPatch.context() as patch, measure_hastily():
        patch.setattr(sys, "argv", [name, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def run_on_device(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run an example in a process that has the base install alone."""
    code = blocking(NOT_ON_A_DEVICE) + "import runpy; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    command = [sys.executable, "-c", code, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)


@pytest.fixture(scope="module")
def exported(keras_file: Path, pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder that the first example leaves."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "quick.toml").write_text(RECIPE)
    run_here("export_from_python.py", keras_file, pictures, folder / "exported", folder / "quick.toml")
    return folder / "exported"


def test_export_from_python(exported: Path) -> None:
    assert {"model.float32.tflite", "model.int8.tflite", "report.json"} <= {path.name for path in exported.iterdir()}


def test_predict_on_a_device(exported: Path, pictures: Path, tmp_path: Path) -> None:
    done = run_on_device("predict_on_a_device.py", exported / "model.int8.tflite", pictures / "images", tmp_path / "masks")
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "masks").iterdir())) == len(done.stdout.splitlines()) == 12
    assert done.stdout.startswith("p0.png, background ")


def test_gate_in_ci(exported: Path, pictures: Path, tmp_path: Path) -> None:
    models = [exported / name for name in ("model.float32.tflite", "model.int8.tflite")]
    done = run_on_device("gate_in_ci.py", exported / "report.json", pictures, *models)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "passed: model.int8.tflite: accuracy" in done.stdout
    longer = tmp_path / "model.int8.tflite"
    longer.write_bytes(models[1].read_bytes() + bytes(1000))
    worse = run_on_device("gate_in_ci.py", exported / "report.json", pictures, models[0], longer)
    assert worse.returncode == 1, worse.stdout + worse.stderr
    assert "regressed: model.int8.tflite: size" in worse.stdout
