"""report.md says what the result holds, losses included."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import pytest

from tests.support.paths import REPOSITORY
from tests.support.sample_results import result, with_group_dice
from u3p_edge.benchmark.result import Distances, DistanceUnit, RunResult
from u3p_edge.report.markdown import render, summary_header, summary_rows


def test_one_row_a_file_with_every_figure() -> None:
    value = result()
    header, rows = summary_header(value), summary_rows(value)
    assert header == [
        "file", "Dice left", "Dice right", "mean Dice", "mean IoU", "labels as float",
        "latency, 1 thread", "latency, 2 threads", "peak memory", "size",
    ]  # fmt: skip
    assert [row[0] for row in rows] == ["model.float32.tflite", "model.int8.tflite"]
    int8 = rows[1]
    # Dice .90 and .88, IoU .80 and .78 as made up; memory is the median of 80.0, 80.2 and 80.1.
    assert int8[1:6] == ["90.00", "88.00", "89.00", "79.00", "99.87 %"]
    assert int8[8:] == ["80 MB", "1.00 MB"]
    assert int8[6].endswith("×0.30")
    assert "×" not in rows[0][6], "the reference has no ratio to itself"


def test_a_binary_model_has_one_dice_column() -> None:
    value = dataclasses.replace(result(), class_names=("background", "nucleus"))
    assert summary_header(value)[:3] == ["file", "mean Dice", "mean IoU"]
    assert all(len(row) == len(summary_header(value)) for row in summary_rows(value))


def test_a_result_with_dice_by_group_has_a_column_of_points_lost() -> None:
    value = with_group_dice(result(), lost=0.25)
    column = summary_header(value).index("points lost (95 %)")
    cells = [row[column] for row in summary_rows(value)]
    # Every group loses the same, so no resample loses more or less.
    assert cells == ["–", "0.25 (0.25 to 0.25)"]
    assert "paired bootstrap over groups" in render(value)
    assert summary_rows(with_group_dice(result(), lost=-0.25, groups=2))[1][column] == "-0.25", "two groups have no interval"
    assert "points lost" not in render(result()), "of a version that kept no Dice by group"


@pytest.mark.parametrize("unit", ["pixels", "mm"])
def test_distances_between_outlines_are_in_the_report_with_their_unit(unit: DistanceUnit) -> None:
    value = result()
    assert "Outlines" not in render(value)
    first = value.artifacts[0]
    assert first.accuracy is not None
    apart = Distances((None, 2.5, None), (None, 0.75, None), (), (), unit=unit)
    changed = dataclasses.replace(first, accuracy=dataclasses.replace(first.accuracy, distances=apart))
    text = render(dataclasses.replace(value, artifacts=(changed, *value.artifacts[1:])))
    assert f"| HD95 / surface, {unit} | left | right |" in text
    assert ("image by image, in mm: the mean" in text) == (unit == "mm")
    assert "| 2.50 / 0.75 | – / – |" in text


def test_the_circumstances_are_stated() -> None:
    text = render(result(), notes=["Quantized after training."], samples="samples.png")
    for part in (
        "Some CPU", "avx512_vnni", "2 cores", "Linux 6.1", "Python 3.11.7", "onnxruntime 1.31.1",
        "nuclei, split test, 12 images",
        "Rounds: 20 at 1 thread, 20 at 2 threads", "`u3p-edge bench model.float32.tflite model.int8.tflite`", "ab" * 32,
        "Python and the runtime without a model take 40 to 40 MB", "- Quantized after training.", "](samples.png)",
    ):  # fmt: skip
        assert part in text
    assert text.endswith("\n")


def bare() -> RunResult:
    artifacts = tuple(dataclasses.replace(a, memory=None, accuracy=None, latencies=()) for a in result().artifacts)
    return dataclasses.replace(result(), artifacts=artifacts, data=None, command="")


@pytest.mark.parametrize("value", [result(), bare()])
def test_every_table_is_rectangular(value: RunResult) -> None:
    for block in render(value).split("\n\n"):
        lines = block.splitlines()
        if lines[0].startswith("|"):
            assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_a_pipe_in_a_name_does_not_break_the_table() -> None:
    text = render(dataclasses.replace(result(), class_names=("background", "a|b", "right")))
    assert "Dice a\\|b" in text


def test_nothing_measured_is_nothing_claimed() -> None:
    text = render(bare())
    assert "Dice" not in text
    assert "Latency is" not in text
    assert "Command" not in text


def test_reports_need_neither_tensorflow_nor_a_runtime() -> None:
    code = (
        "import sys, u3p_edge.report.markdown, u3p_edge.report.samples, u3p_edge.report.github, u3p_edge.report.verdict;"
        "print({'tensorflow', 'tf_keras', 'ai_edge_litert', 'onnxruntime', 'scipy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "set()"
