"""`--require-shown`: what the validation patients show of the int8 network decides the exit code; the files stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.command_line import ROUNDS, Ended, Program, make_pictures
from tests.support.small_artifacts import SHAPE
from u3p_edge.benchmark.loss_check import FEWEST_GROUPS, LossCheck
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.errors import InconclusiveError, VerificationError
from u3p_edge.pipeline.export import export
from u3p_edge.pipeline.require_shown import require_shown

LOSS = Interval(0.3, 0.1, 0.6)
QUICK: dict[str, Any] = {"recipe": "exact", "method": "ptq", "rewrite": False, "formats": ("tflite",), "min_sqnr": -1000.0}
FLAGS = ("--recipe", "exact", "--ptq", "--no-rewrite", "--formats", "tflite", "--min-sqnr", -1000, "--accept", *ROUNDS)


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras file that tells the pictures' grey values apart, and whose int8 form cannot.

    Beside the grey value its only map holds the constant 1000, so one integer step of that map is about 4 wide.
    """
    import tf_keras as keras

    image = keras.Input(SHAPE, name="image")
    both = keras.layers.Conv2D(2, 1, activation="relu", name="both")
    mask = keras.layers.Conv2D(3, 1, activation="softmax", name="mask")
    model = keras.Model(image, mask(both(image)))
    both.set_weights([np.array([[[[1, 0]]]], np.float32), np.array([0, 1000], np.float32)])
    # The grey values are near 0.15, 0.45 and 0.8: the largest of 0, 40 x - 12 and 80 x - 36.8 changes at 0.3 and at 0.62.
    mask.set_weights([np.array([[[[0, 40, 80], [0, 0, 0]]]], np.float32), np.array([0, -12, -36.8], np.float32)])
    path = tmp_path_factory.mktemp("fragile") / "fragile.keras"
    model.save(path)
    return path


@pytest.fixture(scope="module")
def patients(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As many validation images, each a group of its own, as can show something."""
    splits = ("train",) * 2 + ("val",) * FEWEST_GROUPS + ("test",) * 2
    return make_pictures(tmp_path_factory.mktemp("patients") / "data", splits)


def run(program: Program, model: Path, data: Path, out: Path, *more: object) -> Ended:
    return program("export", model, "--int8", "--data", data, "--out", out, *FLAGS, *more)


def test_the_exit_code_says_what_is_shown_and_the_files_stay(
    program: Program, fragile: Path, patients: Path, tmp_path: Path
) -> None:
    lost = run(program, fragile, patients, tmp_path / "lost", "--max-drop", 1, "--require-shown")
    assert lost.code == 1, lost.err
    assert lost.out.startswith("Shown to lose more than 1 point of validation Dice")
    message = lost.err.strip().splitlines()[-1]
    assert "shown to lose more than 1 point. The files are kept in" in message
    assert message.endswith("a larger --max-drop allows it.")
    first = (tmp_path / "lost" / "report.md").read_text().splitlines()[2]
    assert " ".join(lost.out.split()).startswith(first.replace("**", "")), "the terminal and the report begin alike"
    check = read_result(tmp_path / "lost" / "report.json").loss_check
    assert check is not None
    assert (check.verdict, check.allowed, check.groups) == ("shown to lose more", 1, FEWEST_GROUPS)
    assert (tmp_path / "lost" / "model.int8.tflite").exists()

    again = run(program, fragile, patients, tmp_path / "lost", "--max-drop", 1)
    assert again.code == 0, "without the option it is a warning"
    assert "held this very export already" in again.out
    assert "int8 loses" in again.out

    shown = run(program, fragile, patients, tmp_path / "shown", "--max-drop", 100, "--require-shown")
    assert shown.code == 0, shown.err
    assert shown.out.startswith("Shown to lose at most 100 points of validation Dice")


@pytest.mark.slow  # the export above has the same parts, and the test below has each verdict
def test_too_few_patients_show_nothing_and_python_raises(
    program: Program, fragile: Path, pictures: Path, tmp_path: Path
) -> None:
    ended = run(program, fragile, pictures, tmp_path, "--max-drop", 100, "--require-shown")
    assert ended.code == 4, ended.err
    assert ended.out.startswith("Not shown to lose at most 100 points of validation Dice (3 images, too few)")
    assert ended.err.strip().endswith(f"and fewer than {FEWEST_GROUPS} show nothing: add patients to it.")
    options = {**QUICK, "rounds": 5, "max_drop": 100}
    assert export(fragile, pictures, tmp_path, accept=True, **options).reused
    with pytest.raises(InconclusiveError, match="not shown to lose at most 100 points"):
        export(fragile, pictures, tmp_path, accept=True, require_shown=True, **options)


def test_each_verdict_has_its_error(tmp_path: Path) -> None:
    require_shown(LossCheck("shown to lose at most D", 1, LOSS, 20, 20), tmp_path)
    with pytest.raises(VerificationError, match="shown to lose more than") as lost:
        require_shown(LossCheck("shown to lose more", 0.05, LOSS, 20, 20), tmp_path)
    assert "int8 lost 0.30 points (95 % 0.10 to 0.60)" in str(lost.value)
    assert lost.value.exit_code == 1
    with pytest.raises(InconclusiveError, match="not shown to lose at most") as undecided:
        require_shown(LossCheck("not shown", 0.5, LOSS, 20, 20), tmp_path)
    assert "More validation patients narrow the interval" in str(undecided.value)
    assert undecided.value.exit_code == 4
    with pytest.raises(InconclusiveError, match="no loss of an int8 network is on record"):
        require_shown(None, tmp_path)
