"""The gate: what fails, what passes, and what cannot be compared."""

from __future__ import annotations

import dataclasses

import pytest
from sample_results import ENVIRONMENT, result

from u3p_edge.benchmark.compare import Check, Tolerances, Verdict, gate
from u3p_edge.benchmark.result import Latency, RunResult

INT8 = "model.int8.tflite"


def outcomes(verdict: Verdict, what: str, name: str = INT8) -> set[str]:
    return {check.outcome for check in verdict.checks if (check.what, check.artifact) == (what, name)}


def change_environment(value: RunResult, **changes: object) -> RunResult:
    return dataclasses.replace(value, environment=dataclasses.replace(ENVIRONMENT, **changes))


def test_a_run_passes_against_itself() -> None:
    verdict = gate(result(), result())
    assert (verdict.outcome, verdict.exit_code) == ("passed", 0)
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
    assert (verdict.outcome, verdict.exit_code) == ("regressed", 1)
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


def test_a_slowdown_that_the_samples_cannot_prove_passes() -> None:
    # 20 % slower in the median, but with a spread of about 60 %: the interval reaches below the tolerance.
    value = result(relative=0.36)
    float_file, int8_file = value.artifacts
    noisy = tuple(
        dataclasses.replace(entry, samples_ms=tuple(t * (0.4 if i % 2 else 1.6) for i, t in enumerate(entry.samples_ms)))
        for entry in int8_file.latencies
    )
    current = dataclasses.replace(value, artifacts=(float_file, dataclasses.replace(int8_file, latencies=noisy)))
    verdict = gate(result(), current)
    assert outcomes(verdict, "latency") == {"passed"}
    assert all("too noisy" in check.reason for check in verdict.checks if check.what == "latency")
    assert not any("too noisy" in check.reason for check in gate(result(), result()).checks)


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
    assert (verdict.outcome, verdict.exit_code) == ("incomparable", 3)
    assert outcomes(verdict, "latency") == outcomes(verdict, "memory") == {"incomparable"}
    assert outcomes(verdict, "accuracy") == outcomes(verdict, "size") == {"passed"}
    assert any(word in check.reason for check in verdict.checks)
    assert gate(result(), change_environment(result(), **changes), what=("accuracy", "size")).outcome == "passed"


def test_a_new_kernel_or_library_is_still_compared() -> None:
    current = change_environment(result(), system="Linux 7.0", libraries=(("ai-edge-litert", "2.4.0"),))
    assert gate(result(), current).outcome == "passed"


def test_other_cores_make_only_several_threads_incomparable() -> None:
    verdict = gate(result(), change_environment(result(), cores=16))
    by_reason = {check.reason.split(":")[0]: check.outcome for check in verdict.checks if check.what == "latency"}
    assert by_reason == {"1 thread": "passed", "2 threads": "incomparable"}


def test_a_regression_outweighs_what_cannot_be_compared() -> None:
    verdict = gate(result(), change_environment(result(dice=0.5), cpu="Another CPU"))
    assert verdict.exit_code == 1


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
    for current in (other_classes, other_shape, fewer):
        for pair in ((base, current), (current, base)):
            verdict = gate(*pair)
            assert verdict.exit_code == 3
            assert {c.outcome for c in verdict.checks if c.artifact == INT8} == {"incomparable"}


def test_ratios_to_another_model_are_incomparable() -> None:
    base = result()
    verdict = gate(base, dataclasses.replace(base, reference=INT8))
    assert outcomes(verdict, "latency") == {"incomparable"}


def test_what_neither_run_measured_is_no_check() -> None:
    bare = tuple(dataclasses.replace(a, memory=None, accuracy=None, latencies=()) for a in result().artifacts)
    value = dataclasses.replace(result(), artifacts=bare, data=None)
    assert {check.what for check in gate(value, value).checks} == {"size"}
    assert outcomes(gate(result(), value), "memory") == {"incomparable"}
    assert outcomes(gate(result(), value), "latency") == {"incomparable"}


def test_no_check_at_all_is_not_a_pass() -> None:
    assert Verdict(()).outcome == "incomparable"
    assert Verdict((Check("size", "x", "passed", ""),)).outcome == "passed"


def placed(value: RunResult, far: frozenset[int]) -> RunResult:
    """The run with messages between the cores timed, at two threads: in the rounds `far` they shared no cache, and the int8
    network took half as long again."""
    artifacts = []
    for artifact in value.artifacts:
        slower = 1.5 if artifact.name == INT8 else 1.0
        one, two = artifact.latencies
        samples = tuple(ms * (slower if i in far else 1) for i, ms in enumerate(two.samples_ms))
        messages = tuple(300.0 if i in far else 110.0 + i for i in range(len(samples)))
        artifacts.append(dataclasses.replace(artifact, latencies=(one, Latency(2, samples, messages))))
    return dataclasses.replace(value, artifacts=tuple(artifacts))


def test_rounds_whose_cores_shared_no_cache_do_not_count() -> None:
    near, mostly_far = placed(result(), frozenset()), placed(result(seed=5), frozenset(range(14)))
    assert outcomes(gate(near, mostly_far), "latency") == {"passed"}
    # The same samples without the times of messages look like a regression, so the test above can fail.
    bare = [
        dataclasses.replace(a, latencies=tuple(dataclasses.replace(entry, handoff_ns=()) for entry in a.latencies))
        for a in mostly_far.artifacts
    ]
    assert "regressed" in outcomes(gate(near, dataclasses.replace(mostly_far, artifacts=tuple(bare))), "latency")


def test_a_run_without_cores_that_share_a_cache_cannot_be_compared_with_one() -> None:
    near, far = placed(result(), frozenset()), placed(result(seed=5), frozenset(range(20)))
    verdict = gate(near, far)
    assert outcomes(verdict, "latency") == {"passed", "incomparable"}  # at one thread, and at two
    assert any("share a cache" in check.reason for check in verdict.checks)
    assert outcomes(gate(far, far), "latency") == {"passed"}, "where all rounds are alike, all count"


def test_a_real_regression_is_seen_among_rounds_whose_cores_were_apart() -> None:
    worse = placed(result(relative=0.3 * 1.2, seed=9), frozenset(range(8)))
    assert "regressed" in outcomes(gate(placed(result(), frozenset(range(8, 16))), worse), "latency")
