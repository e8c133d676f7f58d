"""A foreign model whose images were normalised in another way is not exported as if it worked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.command_line import QUICK, Program
from tests.support.small_artifacts import Zoo, truth
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.load import Arrays
from u3p_edge.pipeline.normalization_check import NormalizationCheck, compare_normalizations, normalization_flags

LIGHT = ("--no-int8", "--formats", "tflite", "--no-rewrite", *QUICK)

TRUTH = np.stack([truth(seed) for seed in range(6)])


def compare(**predictions: np.ndarray) -> NormalizationCheck:
    arrays = Arrays(np.zeros((6, 48, 64, 1), np.float32), TRUTH, tuple("abcdef"), tuple("abcdef"))
    return compare_normalizations("model.h5", arrays, predictions, labels=3)


@pytest.fixture(scope="module")
def raw(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo's network for raw pixels 0..255: its first kernel divided by 255."""
    import tf_keras

    model = tf_keras.models.clone_model(zoo.model)
    first, *others = zoo.model.get_weights()
    model.set_weights([first / 255, *others])
    path = tmp_path_factory.mktemp("raw") / "raw.keras"
    model.save(path)
    return path


def test_a_model_that_works_is_not_complained_of() -> None:
    check = compare(chosen=TRUTH, other=np.where(TRUTH == 2, 0, TRUTH))
    assert check.fault == ""
    assert dict(check.dice) == pytest.approx({"chosen": 1, "other": 0.5})
    assert "100.00 with chosen, 50.00 with other" in check.note


def test_another_normalization_that_is_clearly_better_is_named() -> None:
    check = compare(chosen=np.where(TRUTH == 2, 0, TRUTH), other=TRUTH)
    assert "model.h5 scores a mean Dice of 50.00 points with chosen, and 100.00 with other" in check.fault
    assert check.mend.startswith("Give other, or --accept")
    assert check.note.startswith("**model.h5 scores")


def test_a_better_score_by_chance_is_not_named() -> None:
    """Better in one of six images and worse in another: the interval over the groups holds 0."""
    one, another = TRUTH.copy(), TRUTH.copy()
    one[0, :16], another[1, :15] = 0, 0
    check = compare(chosen=one, other=another)
    assert check.dice["other"] > check.dice["chosen"]
    assert check.fault == ""


def test_a_model_that_is_no_better_than_one_class_everywhere_is_named() -> None:
    constant = np.full_like(TRUTH, 2)
    check = compare(chosen=np.zeros_like(TRUTH), other=constant)
    # Class 2, the larger one, everywhere: none of class 1.
    bar = (TRUTH == 2).sum(axis=(1, 2))
    assert check.constant == pytest.approx((2 * bar / (bar + 48 * 64)).mean() / 2)
    worst = compare(chosen=constant, other=np.zeros_like(TRUTH))
    assert "no better than a constant prediction" in worst.fault
    assert "the data, its classes and the preprocessing" in worst.mend


def test_options_are_those_of_the_command_line() -> None:
    assert normalization_flags(Preprocessing(16, 16)) == "--normalize percentile"
    meanstd = Preprocessing(16, 16, 3, normalization="meanstd", mean=(1, 2, 3.5), std=(4, 5, 6))
    assert normalization_flags(meanstd) == "--normalize meanstd --mean 1,2,3.5 --std 4,5,6"


def test_a_model_of_raw_pixels_is_refused_under_percentiles_and_taken_as_it_was_trained(
    program: Program, raw: Path, pictures: Path, tmp_path: Path
) -> None:
    options = ("export", raw, "--data", pictures, "--out", tmp_path / "out", *LIGHT)
    ended = program(*options)
    assert ended.code == 2
    assert "--normalize none" in ended.err
    assert "--accept" in ended.err
    assert not (tmp_path / "out" / "model.float32.tflite").exists()
    planned = program(*options, "--dry-run")
    assert "normalised in another way in training" in planned.out
    accepted = program(*options, "--accept")
    assert accepted.code == 0, accepted.err
    report = (tmp_path / "out" / "report.md").read_text()
    assert "normalised in another way in training" in report
    right = program(*options, "--normalize", "none", "--dry-run")
    assert right.code == 0, right.err
    assert "normalised in another way" not in right.out
