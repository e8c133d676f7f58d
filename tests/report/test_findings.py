"""What the samples show is said, and no more; warnings come first."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.support.sample_results import artifact, result
from u3p_edge.benchmark.loss_check import LossCheck
from u3p_edge.benchmark.result import ArtifactResult, Latency, RunResult
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.report.findings import list_findings


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_faster_and_slower_are_both_stated(factor: float) -> None:
    (sentence,) = list_findings(result(relative=factor))
    assert sentence.startswith("model.int8.tflite against model.float32.tflite, in LiteRT: ")
    assert sentence.count("**is slower**: it takes 1.") == (2 if factor > 1 else 0), "once a number of threads"
    # The samples scatter by 1 %, their medians by less.
    assert sentence.count("runs 2.0") + sentence.count("runs 1.9") == (0 if factor > 1 else 2)
    assert "1 thread)" in sentence


def test_what_the_samples_cannot_tell_is_not_claimed() -> None:
    # A factor of 1 whose interval holds 1 in every seed tried: the samples scatter by 1 % around it.
    assert "is neither clearly faster nor slower than float" in "\n".join(list_findings(result(relative=1.0, seed=3)))


def test_int8_is_held_against_float_of_its_own_runtime() -> None:
    value = result(relative=0.5)
    onnx = [
        artifact("model.float32.onnx", relative=0.4, dice=0.9, peak=90, size=4, seed=5),
        artifact("model.int8.onnx", relative=0.8, dice=0.9, peak=90, size=4, seed=6),
    ]
    first, second = list_findings(dataclasses.replace(value, artifacts=(*value.artifacts, *onnx)))
    # Faster than the TFLite float file, and yet twice as slow as ONNX Runtime's own: the loss comes first.
    assert "**is slower**" in first
    assert "ONNX Runtime" in first
    assert "LiteRT: runs" in second


def exported() -> RunResult:
    """A pruned export: 25 times as fast as the model that was exported, 2.5 times as fast as the pruned network in float32."""
    artifacts = [
        artifact("reference.float32.tflite", relative=1, dice=0.9, peak=90, size=4, seed=5),
        artifact("model.float32.tflite", relative=0.1, dice=0.9, peak=90, size=4, seed=6),
        artifact("model.int8.tflite", relative=0.04, dice=0.9, peak=90, size=4, seed=7),
    ]
    return dataclasses.replace(result(), artifacts=tuple(artifacts), reference="reference.float32.tflite")


def test_a_pruned_file_is_compared_with_the_model_that_it_comes_from_and_with_its_own_network() -> None:
    first, second = list_findings(exported())
    # The samples scatter by 1 %, their medians by less.
    assert "runs 25." in first or "runs 24.9" in first
    assert "against reference.float32.tflite (the original float model)" in first
    assert "runs 2.5" in second or "runs 2.49" in second
    assert "against model.float32.tflite (the same network in float32)" in second


def rounds(count: int, noise: float) -> RunResult:
    """An int8 file of about a fifth of the float file's time."""
    rng = np.random.default_rng(0)

    def timed(a: ArtifactResult, factor: float, scatter: float) -> ArtifactResult:
        samples = tuple(float(v) for v in factor * rng.lognormal(0, scatter, count))
        return dataclasses.replace(a, latencies=(Latency(1, samples),))

    value = result()
    return dataclasses.replace(value, artifacts=(timed(value.artifacts[0], 100, 0), timed(value.artifacts[1], 20, noise)))


def test_few_rounds_give_no_ratio_in_a_sentence() -> None:
    (sentence,) = list_findings(rounds(9, 0.01))
    assert "was timed in 9 rounds, too few to compare with float" in sentence
    assert "times as fast" not in sentence
    assert "times as fast" in list_findings(rounds(10, 0.01))[0]


def test_a_wide_interval_is_given_without_a_ratio() -> None:
    (sentence,) = list_findings(rounds(10, 0.6))
    assert "**uncertain, the timings vary**" in sentence
    low, high = (float(part) for part in sentence.split("runs ")[1].split(" times")[0].split(" to "))
    assert low < 5 < high
    assert "uncertain" not in list_findings(rounds(10, 0.01))[0]


def test_warnings_come_first_and_notes_keep_their_order() -> None:
    notes = ["One.", "**Beware.** Two.", "Three.", "**Beware** of four."]
    first, second, *rest = list_findings(result(), notes)
    assert (first, second) == ("**Beware.** Two.", "**Beware** of four.")
    assert rest[1:] == ["One.", "Three."]


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (LossCheck("shown to lose at most D", 0.5, Interval(0.1, -0.2, 0.4), 20, 40), None),
        (LossCheck("not shown", 0.5, Interval(0.1, -0.2, 0.8), 20, 40), "More validation patients narrow the interval"),
        (
            LossCheck("not shown", 0.5, Interval(0.7, 0.2, 0.8), 20, 40),
            "**int8 loses 0.70 points of validation Dice, 0.50 were allowed.** More training",
        ),
        (
            LossCheck("shown to lose more", 0.5, Interval(0.7, 0.6, 0.8), 20, 40),
            "**int8 loses 0.70 points of validation Dice, 0.50 were allowed.** More training",
        ),
    ],
)
def test_what_is_not_shown_says_what_would_help(check: LossCheck, words: str | None) -> None:
    sentences = list_findings(dataclasses.replace(result(), loss_check=check))
    assert len(sentences) == (1 if words is None else 2)
    if words is not None:
        assert sentences[0].startswith(words)
