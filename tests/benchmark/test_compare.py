"""The gate: what fails, what passes, and what cannot be compared."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.support.sample_results import ENVIRONMENT, result
from u3p_edge.benchmark.ceilings import Ceilings
from u3p_edge.benchmark.checks import Check, Tolerances, Verdict
from u3p_edge.benchmark.compare import Scope, gate
from u3p_edge.benchmark.result import ArtifactResult, Latency, RunResult
from u3p_edge.errors import ConfigError

INT8 = "model.int8.tflite"


def outcomes(verdict: Verdict, what: str, name: str = INT8) -> set[str]:
    return {check.outcome for check in verdict.checks if (check.what, check.artifact) == (what, name)}


def change_environment(value: RunResult, **changes: Any) -> RunResult:
    return dataclasses.replace(value, environment=dataclasses.replace(ENVIRONMENT, **changes))


def test_a_run_passes_against_itself() -> None:
    verdict = gate(result(), result())
    assert (verdict.outcome, verdict.exit_code()) == ("passed", 0)
    assert {check.what for check in verdict.checks} == {"accuracy", "latency", "memory", "size"}


@pytest.mark.parametrize("seed", range(10))
def test_noise_and_a_slower_machine_pass(seed: int) -> None:
    # Every absolute time is 2.5 times that of the baseline, as on a shared runner; the ratios are as they were.
    assert gate(result(), result(seed=10 + seed, slowness=2.5)).outcome == "passed"


@pytest.mark.parametrize(
    ("current", "what"),
    [
        (result(relative=0.3 * 1.2, seed=9), "latency"),
        (result(dice=0.898), "accuracy"),
        (result(peak=80 * 1.15), "memory"),
        (result(size=1_030_000), "size"),
    ],
)
def test_what_got_worse_fails_and_nothing_else(current: RunResult, what: str) -> None:
    verdict = gate(result(), current)
    assert (verdict.outcome, verdict.exit_code()) == ("regressed", 1)
    assert outcomes(verdict, what) == {"regressed"}
    assert {check.what for check in verdict.checks if check.outcome == "regressed"} == {what}


@pytest.mark.parametrize(
    "current", [result(relative=0.2, seed=9), result(dice=0.95), result(peak=50), result(size=10), result(dice=0.8992)]
)
def test_what_got_better_or_stayed_within_tolerance_passes(current: RunResult) -> None:
    assert gate(result(), current).outcome == "passed"


def test_tolerances_are_the_callers() -> None:
    loose = Tolerances(slowdown=0.5, drop=5, memory=0.5, size=0.5)
    worse = result(relative=0.4, dice=0.86, peak=100, size=1_300_000)
    assert gate(result(), worse, loose).outcome == "passed"
    assert gate(result(), worse, Tolerances()).outcome == "regressed"
    # A drop of exactly the tolerance still passes.
    assert outcomes(gate(result(dice=0.9), result(dice=0.899)), "accuracy") == {"passed"}


def noisy(value: RunResult, factors: tuple[float, float] = (1.6, 0.4)) -> RunResult:
    """The run with the int8 file's samples scattered, so that their interval is wide."""
    float_file, int8_file = value.artifacts
    scattered = tuple(
        dataclasses.replace(entry, samples_ms=tuple(t * factors[i % 2] for i, t in enumerate(entry.samples_ms)))
        for entry in int8_file.latencies
    )
    return dataclasses.replace(value, artifacts=(float_file, dataclasses.replace(int8_file, latencies=scattered)))


@pytest.mark.parametrize("relative", [0.36, 0.3])
def test_what_the_samples_cannot_decide_is_inconclusive(relative: float) -> None:
    # 20 % slower in the median or not at all, with a spread of about 60 %: the interval holds the tolerance.
    verdict = gate(result(), noisy(result(relative=relative)))
    assert outcomes(verdict, "latency") == {"inconclusive"}
    assert (verdict.outcome, verdict.exit_code(), verdict.exit_code(strict=True)) == ("inconclusive", 4, 1)
    assert any("do not decide" in check.reason for check in verdict.checks)
    assert not any("do not decide" in check.reason for check in gate(result(), result()).checks)


@pytest.mark.parametrize("slower", [1.2, 1.3])
@pytest.mark.parametrize("rounds", [15, 20])
def test_a_real_slowdown_never_passes(slower: float, rounds: int) -> None:
    """With the spread of a busy machine, +-25 %, at the rounds of `export` and `bench`."""
    verdicts = []
    for seed in range(20):
        before, after = (scattered(seed + 100 * k, rounds, slower if k else 1.0) for k in (0, 1))
        verdicts.append(gate(before, after, scope=Scope(("latency",))).outcome)
    # Of intervals of 95 %, one side misses 2.5 % of the time: of 20 tries one pass may be, and on the usual run none.
    assert verdicts.count("passed") <= 1
    assert set(verdicts) <= {"regressed", "inconclusive", "passed"}


def scattered(seed: int, rounds: int, slower: float) -> RunResult:
    """A run at one thread whose ratios scatter by 25 %."""
    rng = np.random.default_rng(seed)
    value = result()
    samples = (rng.lognormal(0, 0.25, rounds), slower * 0.3 * rng.lognormal(0, 0.25, rounds))
    artifacts = tuple(
        dataclasses.replace(a, latencies=(Latency(1, tuple(map(float, ms))),))
        for a, ms in zip(value.artifacts, samples, strict=True)
    )
    return dataclasses.replace(value, artifacts=artifacts)


@pytest.mark.parametrize("seed", range(5))
def test_a_noisy_run_passes_against_itself(seed: int) -> None:
    run = scattered(seed, 15, 1.0)
    assert gate(run, run).outcome == "passed"
    # Another run of the same network is not the same run: its samples may leave it open.
    assert gate(run, scattered(seed + 50, 15, 1.0), scope=Scope(("latency",))).outcome in ("passed", "inconclusive")


def test_memory_and_size_decide_only_beyond_their_samples() -> None:
    # The peaks 80 to 80.2 MB before; 87.9 to 88.1 now: 9.6 % at least and 10.1 % at most.
    assert outcomes(gate(result(), result(peak=87.9)), "memory") == {"inconclusive"}
    assert outcomes(gate(result(), result(peak=87.0)), "memory") == {"passed"}
    assert outcomes(gate(result(), result(peak=90.0)), "memory") == {"regressed"}


# --- budgets


def by_title(verdict: Verdict) -> dict[tuple[str, str], str]:
    return {(check.artifact, check.title): check.outcome for check in verdict.checks if check.detail == "budget"}


def test_budgets_are_absolute_and_for_int8() -> None:
    # The int8 file takes about 30 ms at one thread, has 1 MB and a peak of 80.2 MB.
    actual = by_title(gate(result(), result(), ceilings=Ceilings(ms=60, mb=0.9, peak_mb=80.1)))
    assert actual == {
        (INT8, "latency, budget"): "passed",
        (INT8, "size, budget"): "regressed",
        (INT8, "memory, budget"): "inconclusive",
    }
    assert by_title(gate(result(), result(), ceilings=Ceilings(ms=10)))[INT8, "latency, budget"] == "regressed"
    assert gate(result(), result(), ceilings=Ceilings(mb=0.9)).exit_code() == 1
    named = gate(result(), result(), scope=Scope(files=("*float32*",)), ceilings=Ceilings(mb=1))
    assert by_title(named) == {("model.float32.tflite", "size, budget"): "regressed"}


def test_a_budget_needs_no_machine_like_the_baselines() -> None:
    verdict = gate(change_environment(result(), cpu="Another CPU"), result(), ceilings=Ceilings(ms=10))
    assert verdict.exit_code() == 1


def test_a_budget_of_what_was_not_measured_is_not_met() -> None:
    bare = tuple(dataclasses.replace(a, memory=None, latencies=()) for a in result().artifacts)
    value = dataclasses.replace(result(), artifacts=bare)
    verdict = gate(value, value, ceilings=Ceilings(ms=60, peak_mb=100))
    assert set(by_title(verdict).values()) == {"incomparable"}
    assert verdict.exit_code() == 3


# --- which files belong together


def renamed(value: RunResult, **names: str) -> RunResult:
    """The run with files called otherwise."""
    changes = {f"model.{key}.tflite": name for key, name in names.items()}
    artifacts = tuple(dataclasses.replace(a, name=changes.get(a.name, a.name)) for a in value.artifacts)
    return dataclasses.replace(value, artifacts=artifacts, reference=changes.get(value.reference, value.reference))


def test_files_of_other_names_are_matched_by_what_they_are_for() -> None:
    verdict = gate(
        renamed(result(), int8="old/liver.int8.tflite"), renamed(result(relative=0.45, seed=9), int8="liver_v2.tflite")
    )
    assert outcomes(verdict, "latency", "liver_v2.tflite") == {"regressed"}
    assert "old/liver.int8.tflite of the baseline is compared with liver_v2.tflite: both are tflite-int8." in verdict.notes


def with_onnx(value: RunResult) -> RunResult:
    """The run with ONNX files before its TFLite files, the first of them the reference, as a shell's `*` sorts them."""
    onnx = tuple(
        dataclasses.replace(a, name=a.name.replace(".tflite", ".onnx"), format=a.format.replace("tflite", "onnx"))
        for a in value.artifacts
    )
    return dataclasses.replace(value, artifacts=(*onnx, *value.artifacts), reference=onnx[0].name)


def test_files_of_one_run_alone_are_named_and_do_not_decide() -> None:
    """A device without ONNX Runtime, against a server that has it and whose reference was the ONNX file."""
    verdict = gate(with_onnx(result()), result())
    assert verdict.exit_code() == 0
    missing = {check.artifact for check in verdict.checks if check.outcome == "missing"}
    assert missing == {"model.float32.onnx", "model.int8.onnx"}
    assert outcomes(verdict, "latency") == {"passed"}
    assert any("Ratios of latencies refer to model.float32.tflite" in note for note in verdict.notes)
    assert verdict.exit_code(strict=True) == 1
    assert gate(with_onnx(result()), result(relative=0.36, seed=9)).exit_code() == 1, "a slowdown is still seen"


def test_the_reference_can_be_named() -> None:
    scope = Scope(("latency",), reference="model.float32.tflite")
    verdict = gate(with_onnx(result()), with_onnx(result()), scope=scope)
    assert {check.artifact for check in verdict.checks} == {"model.float32.onnx", "model.int8.onnx", INT8}
    with pytest.raises(ConfigError, match="no such file is in both runs"):
        gate(with_onnx(result()), result(), scope=Scope(reference="model.float32.onnx"))


def test_files_are_chosen_by_patterns() -> None:
    verdict = gate(with_onnx(result()), result(), scope=Scope(files=("*int8.tflite",)))
    assert {check.artifact for check in verdict.checks} == {INT8}
    assert verdict.exit_code() == 0
    with pytest.raises(ConfigError, match=r"--file \*int4\*: no file"):
        gate(result(), result(), scope=Scope(files=("*int4*",)))


def test_two_files_of_one_role_are_not_guessed_apart() -> None:
    twice = dataclasses.replace(
        result(), artifacts=(*result().artifacts, dataclasses.replace(result().artifacts[1], name="b.int8.tflite"))
    )
    verdict = gate(twice, renamed(result(), int8="c.int8.tflite"))
    assert {c.artifact for c in verdict.checks if c.outcome == "missing"} == {INT8, "b.int8.tflite", "c.int8.tflite"}


def test_a_reference_that_is_another_file_is_noted() -> None:
    value = result()
    other = dataclasses.replace(
        value, artifacts=(dataclasses.replace(value.artifacts[0], sha256="ef" * 32), value.artifacts[1])
    )
    assert any("another file in each run" in note for note in gate(value, other).notes)
    assert gate(value, value).notes == ()


def test_threads_can_be_chosen() -> None:
    verdict = gate(result(), result(), scope=Scope(("latency",), threads=(1,)))
    assert {check.detail for check in verdict.checks} == {"1 thread"}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"cpu": "Another CPU"}, "processors"),
        ({"features": ("avx2",)}, "features"),
        ({"machine": "aarch64"}, "instruction sets"),
        ({"system": "Darwin 23"}, "operating systems"),
    ],
)
def test_times_of_another_machine_are_not_compared_but_accuracy_is(changes: dict[str, object], word: str) -> None:
    verdict = gate(result(), change_environment(result(), **changes))
    assert (verdict.outcome, verdict.exit_code()) == ("incomparable", 3)
    assert outcomes(verdict, "latency") == outcomes(verdict, "memory") == {"incomparable"}
    assert outcomes(verdict, "accuracy") == outcomes(verdict, "size") == {"passed"}
    assert any(word in check.reason for check in verdict.checks)
    assert gate(result(), change_environment(result(), **changes), scope=Scope(("accuracy", "size"))).outcome == "passed"


def test_a_new_kernel_or_library_is_still_compared() -> None:
    current = change_environment(result(), system="Linux 7.0", libraries=(("ai-edge-litert", "2.4.0"),))
    assert gate(result(), current).outcome == "passed"


def test_other_cores_make_only_several_threads_incomparable() -> None:
    verdict = gate(result(), change_environment(result(), cores=16))
    by_threads = {check.detail: check.outcome for check in verdict.checks if check.what == "latency"}
    assert by_threads == {"1 thread": "passed", "2 threads": "incomparable"}


def test_a_regression_outweighs_what_cannot_be_compared() -> None:
    verdict = gate(result(), change_environment(result(dice=0.5), cpu="Another CPU"))
    assert verdict.exit_code() == 1


def test_other_data_classes_shapes_or_artifacts_are_incomparable() -> None:
    base = result()
    assert base.data is not None
    other_data = dataclasses.replace(base, data=dataclasses.replace(base.data, sha256="ef" * 32))
    assert outcomes(gate(base, other_data), "accuracy") == {"incomparable"}
    assert outcomes(gate(base, other_data), "latency") == {"passed"}
    other_classes = dataclasses.replace(base, class_names=("background", "left", "up"))
    other_shape = dataclasses.replace(
        base, artifacts=tuple(dataclasses.replace(a, input_shape=(64, 64, 1)) for a in base.artifacts)
    )
    fewer = dataclasses.replace(base, artifacts=base.artifacts[:1])
    for current in (other_classes, other_shape):
        for pair in ((base, current), (current, base)):
            verdict = gate(*pair)
            assert verdict.exit_code() == 3
            assert {c.outcome for c in verdict.checks if c.artifact == INT8} == {"incomparable"}
    assert {c.outcome for c in gate(base, fewer).checks if c.artifact == INT8} == {"missing"}


def test_another_reference_of_now_does_not_matter_where_the_baselines_is_there() -> None:
    base = result()
    assert gate(base, dataclasses.replace(base, reference=INT8)).outcome == "passed"


def test_without_a_float_file_in_both_runs_ratios_are_incomparable() -> None:
    base = result()
    alone = dataclasses.replace(base, artifacts=base.artifacts[1:], reference=INT8)
    other = dataclasses.replace(
        base, artifacts=(with_onnx(base).artifacts[0], base.artifacts[1]), reference="model.float32.onnx"
    )
    verdict = gate(other, dataclasses.replace(alone, artifacts=(*alone.artifacts, extra("c.tflite")), reference="c.tflite"))
    assert outcomes(verdict, "latency") == {"incomparable"}


def extra(name: str) -> ArtifactResult:
    return dataclasses.replace(result().artifacts[0], name=name, format="tflite-float16")


def test_what_neither_run_measured_is_no_check() -> None:
    bare = tuple(dataclasses.replace(a, memory=None, accuracy=None, latencies=()) for a in result().artifacts)
    value = dataclasses.replace(result(), artifacts=bare, data=None)
    assert {check.what for check in gate(value, value).checks} == {"size"}
    assert outcomes(gate(result(), value), "memory") == {"missing"}
    assert outcomes(gate(result(), value), "latency") == {"missing"}


def test_no_check_at_all_is_not_a_pass() -> None:
    assert Verdict(()).outcome == "incomparable"
    assert Verdict((Check("size", "x", "passed", ""),)).outcome == "passed"
    assert Verdict((Check("file", "x", "missing", ""),)).exit_code() == 3


def test_the_order_of_outcomes() -> None:
    def verdict(*outcomes: str) -> int:
        return Verdict(tuple(Check("size", "x", outcome, "") for outcome in outcomes)).exit_code()  # type: ignore[arg-type]

    assert verdict("passed", "missing") == 0
    assert verdict("passed", "inconclusive", "missing") == 4
    assert verdict("passed", "inconclusive", "incomparable") == 3
    assert verdict("passed", "inconclusive", "incomparable", "regressed") == 1
