"""The first line of a report: verdict, loss, speed and size."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.paths import REPOSITORY
from tests.support.sample_results import artifact, result, with_group_dice
from u3p_edge.benchmark.loss_check import LossCheck
from u3p_edge.benchmark.result import DataInfo, RunResult
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.report.headline import headline
from u3p_edge.report.markdown import render

LOSS = Interval(0.12, -0.05, 0.31)


def exported(check: LossCheck | None = None, lost: float = 0.25) -> RunResult:
    return dataclasses.replace(with_group_dice(result(relative=0.25), lost=lost), loss_check=check)


def test_it_says_verdict_loss_speed_and_size_in_two_sentences() -> None:
    text = headline(exported(LossCheck("shown to lose at most D", 0.5, LOSS, 20, 80)))
    verdict, figures = text.split(". int8 ")
    assert verdict == "**Shown to lose at most 0.5 points** of validation Dice (95 % -0.05 to 0.31, 80 images, 20 groups)"
    assert figures.startswith("loses 0.25 points of test Dice (95 % 0.25 to 0.25, 24 images, 8 groups), runs ")
    # Made up as a quarter of the time; the medians of 20 samples that scatter by 1 % are off by less.
    assert "runs 4.0" in figures or "runs 3.9" in figures
    assert " times as fast as float32 TFLite (" in figures
    assert figures.endswith(", 1 thread) and has 1/4 of the size.")


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (LossCheck("not shown", 0.5, LOSS, 12, 12), "**Not shown to lose at most 0.5 points** of validation Dice (95 %"),
        (
            LossCheck("shown to lose more", 1, LOSS, 12, 12),
            "**Shown to lose more than 1 point** of validation Dice (95 %",
        ),
        (
            LossCheck("not shown", 0.5, LOSS, 2, 12),
            "**Not shown to lose at most 0.5 points** of validation Dice (12 images, 2",
        ),
        (
            LossCheck("not shown", 0.5, None, 0, 12),
            "**Not shown to lose at most 0.5 points** of validation Dice (12 images, 0",
        ),
    ],
)
def test_each_verdict_has_its_words_and_too_few_groups_no_interval(check: LossCheck, words: str) -> None:
    assert headline(exported(check)).startswith(words)


def test_it_is_the_first_line_below_the_title() -> None:
    check = LossCheck("not shown", 0.5, LOSS, 20, 80)
    lines = render(exported(check), notes=["**A warning.**"]).splitlines()
    assert lines[2] == headline(exported(check))
    assert lines[4] == "- **A warning.**"


def test_a_gain_is_no_loss_and_a_validation_split_is_called_so() -> None:
    value = exported(lost=-0.5)
    value = dataclasses.replace(value, data=DataInfo("mine", "val", 8, 8, "cd" * 32))
    assert headline(value).startswith("int8 gains 0.50 points of validation Dice (95 % -0.50 to -0.50, 8 images), runs ")


def test_a_result_of_an_older_version_gives_what_it_holds() -> None:
    text = headline(result(relative=0.25, dice=0.891))
    assert text.startswith("int8 loses 1.00 points of test Dice (12 images, 1 group), runs ")
    kept = read_result(REPOSITORY / "benchmarks" / "results" / "amd-epyc-2-cores" / "hippocampus_64" / "report.json")
    assert headline(kept).startswith("int8 ")
    assert "times as fast as float32 TFLite" in headline(kept)


def test_what_was_not_measured_is_not_mentioned() -> None:
    files = tuple(dataclasses.replace(a, accuracy=None, latencies=()) for a in result().artifacts)
    assert headline(dataclasses.replace(result(), artifacts=files, data=None)) == "int8 has 1/4 of the size."


def test_without_an_int8_file_there_is_none() -> None:
    assert headline(dataclasses.replace(result(), artifacts=result().artifacts[:1])) == ""


def test_the_int8_file_is_that_of_the_references_runtime() -> None:
    onnx = artifact("model.int8.onnx", relative=0.8, dice=0.9, peak=90, size=2_000_000, seed=6)
    first, second = result(relative=0.25).artifacts
    several = dataclasses.replace(result(), artifacts=(first, onnx, second))
    assert headline(several).endswith("1/4 of the size.")
    assert headline(dataclasses.replace(result(), artifacts=(first, onnx))).endswith("1/2 of the size.")
