"""report.md says what the result holds, losses included."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from tests.support.paths import REPOSITORY
from tests.support.sample_results import artifact, result
from u3p_edge.benchmark.result import ArtifactResult, Distances, Latency, RunResult
from u3p_edge.report.findings import list_findings
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


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_faster_and_slower_are_both_stated(factor: float) -> None:
    sentences = "\n".join(list_findings(result(relative=factor)))
    assert ("int8 is slower than float" in sentences) == (factor > 1)
    assert ("int8 is faster than float" in sentences) == (factor < 1)
    assert "in LiteRT here, at 1 thread" in sentences


def test_what_the_samples_cannot_tell_is_not_claimed() -> None:
    # A factor of 1 whose interval holds 1 in every seed tried: the samples scatter by 1 % around it.
    sentences = "\n".join(list_findings(result(relative=1.0, seed=3)))
    assert "neither clearly faster nor slower" in sentences


def test_int8_is_held_against_float_of_its_own_runtime() -> None:
    value = result(relative=0.5)
    onnx = [
        artifact("model.float32.onnx", relative=0.4, dice=0.9, peak=90, size=4, seed=5),
        artifact("model.int8.onnx", relative=0.8, dice=0.9, peak=90, size=4, seed=6),
    ]
    sentences = list_findings(dataclasses.replace(value, artifacts=(*value.artifacts, *onnx)))
    # Faster than the TFLite float file, and yet twice as slow as ONNX Runtime's own.
    assert any("**int8 is slower than float**" in line and "ONNX Runtime" in line for line in sentences)
    assert any("int8 is faster than float" in line and "LiteRT" in line for line in sentences)


def test_distances_between_outlines_are_in_the_report_with_their_unit() -> None:
    value = result()
    assert "Outlines" not in render(value)
    first = value.artifacts[0]
    assert first.accuracy is not None
    apart = Distances((None, 2.5, None), (None, 0.75, None), (), ())
    changed = dataclasses.replace(first, accuracy=dataclasses.replace(first.accuracy, distances=apart))
    text = render(dataclasses.replace(value, artifacts=(changed, *value.artifacts[1:])))
    assert "| HD95 / surface, pixels | left | right |" in text
    assert "| 2.50 / 0.75 | – / – |" in text


def exported() -> RunResult:
    """A pruned export: 25 times as fast as the model that was exported, 2.5 times as fast as the pruned network in float32."""
    artifacts = [
        artifact("reference.float32.tflite", relative=1, dice=0.9, peak=90, size=4, seed=5),
        artifact("model.float32.tflite", relative=0.1, dice=0.9, peak=90, size=4, seed=6),
        artifact("model.int8.tflite", relative=0.04, dice=0.9, peak=90, size=4, seed=7),
    ]
    return dataclasses.replace(result(), artifacts=tuple(artifacts), reference="reference.float32.tflite")


def test_a_pruned_file_is_compared_with_the_model_that_it_comes_from_and_with_its_own_network() -> None:
    sentences = [line for line in list_findings(exported()) if "faster than float" in line and "1 thread" in line]
    # The samples scatter by 1 %, their medians by less.
    assert "int8 is faster than float: 25." in sentences[0] or "int8 is faster than float: 24.9" in sentences[0]
    assert "against reference.float32.tflite, the original float model" in sentences[0]
    assert "int8 is faster than float: 2.5" in sentences[1] or "int8 is faster than float: 2.49" in sentences[1]
    assert "against model.float32.tflite, the same network in float32" in sentences[1]


def rounds(count: int, noise: float) -> RunResult:
    """An int8 file of about a fifth of the float file's time."""
    rng = np.random.default_rng(0)

    def timed(a: ArtifactResult, factor: float, scatter: float) -> ArtifactResult:
        samples = tuple(float(v) for v in factor * rng.lognormal(0, scatter, count))
        return dataclasses.replace(a, latencies=(Latency(1, samples),))

    value = result()
    return dataclasses.replace(value, artifacts=(timed(value.artifacts[0], 100, 0), timed(value.artifacts[1], 20, noise)))


def test_few_rounds_give_no_ratio_in_a_sentence() -> None:
    sentences = "\n".join(list_findings(rounds(9, 0.01)))
    assert "9 rounds are too few to compare int8 with float" in sentences
    assert "times as fast" not in sentences
    assert "times as fast" in "\n".join(list_findings(rounds(10, 0.01)))


def test_a_wide_interval_comes_before_the_ratio() -> None:
    sentences = next(line for line in list_findings(rounds(10, 0.6)) if "faster" in line)
    assert sentences.startswith("**Uncertain, the timings vary: ")
    assert sentences.index("95 % interval") < sentences.index("times as fast")
    assert "Uncertain" not in "\n".join(list_findings(rounds(10, 0.01)))


@pytest.mark.parametrize(
    ("dice", "words"), [(0.891, "loses 1.00 points"), (0.911, "gains 1.00 points"), (0.901, "has the mean Dice of")]
)
def test_dice_against_float_is_stated(dice: float, words: str) -> None:
    assert any(words in line for line in list_findings(result(dice=dice)))


def test_the_circumstances_are_stated() -> None:
    text = render(result(), notes=["Quantized after training."], samples="samples.png")
    for part in (
        "Some CPU", "avx512_vnni", "2 cores", "Linux 6.1", "Python 3.11.7", "onnxruntime 1.31.1",
        "mni152, split test, 12 images",
        "Rounds: 20, 20 at 1 thread, 2 threads", "`u3p-edge bench model.float32.tflite model.int8.tflite`", "ab" * 32,
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
