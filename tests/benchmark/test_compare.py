"""The gate: what fails, what passes, and what cannot be compared."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.sample_results import ENVIRONMENT, result
from u3p_edge.benchmark.ceilings import Ceilings
from u3p_edge.benchmark.checks import Check, Tolerances, Verdict
from u3p_edge.benchmark.compare import Scope, compare_runs
from u3p_edge.benchmark.matching import Pair
from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.structure import Structure
from u3p_edge.errors import ConfigError

INT8 = "model.int8.tflite"


def outcomes(verdict: Verdict, what: str, name: str = INT8) -> set[str]:
    return {check.outcome for check in verdict.checks if (check.what, check.artifact) == (what, name)}


def change_environment(value: RunResult, **changes: Any) -> RunResult:
    return dataclasses.replace(value, environment=dataclasses.replace(ENVIRONMENT, **changes))


def test_a_run_passes_against_itself() -> None:
    verdict = compare_runs(result(), result())
    assert (verdict.outcome, verdict.exit_code()) == ("passed", 0)
    assert {check.what for check in verdict.checks} == {"accuracy", "latency", "memory", "size"}


@pytest.mark.parametrize(
    ("current", "what"),
    [
        (result(dice=0.898), "accuracy"),
        (result(peak=80 * 1.15), "memory"),
        (result(size=1_030_000), "size"),
    ],
)
def test_what_got_worse_fails_and_nothing_else(current: RunResult, what: str) -> None:
    verdict = compare_runs(result(), current)
    assert (verdict.outcome, verdict.exit_code()) == ("regressed", 1)
    assert outcomes(verdict, what) == {"regressed"}
    assert {check.what for check in verdict.checks if check.outcome == "regressed"} == {what}


@pytest.mark.parametrize("current", [result(dice=0.95), result(peak=50), result(size=10), result(dice=0.8992)])
def test_what_got_better_or_stayed_within_tolerance_passes(current: RunResult) -> None:
    assert compare_runs(result(), current).outcome == "passed"


def test_tolerances_are_the_callers() -> None:
    loose = Tolerances(drop=5, memory=0.5, size=0.5)
    worse = result(dice=0.86, peak=100, size=1_300_000)
    assert compare_runs(result(), worse, loose).outcome == "passed"
    assert compare_runs(result(), worse, Tolerances()).outcome == "regressed"
    # A drop of exactly the tolerance still passes.
    assert outcomes(compare_runs(result(dice=0.9), result(dice=0.899)), "accuracy") == {"passed"}


# --- latency, and what is counted


def other_files(value: RunResult) -> RunResult:
    """The run with files of other bytes."""
    return dataclasses.replace(value, artifacts=tuple(dataclasses.replace(a, sha256="ef" * 32) for a in value.artifacts))


def test_stored_times_of_other_files_are_not_compared_and_do_not_decide() -> None:
    verdict = compare_runs(result(), other_files(result(relative=0.6, seed=9)))
    assert outcomes(verdict, "latency") == {"missing"}
    assert (verdict.exit_code(), verdict.exit_code(strict=True)) == (0, 1)
    assert outcomes(compare_runs(result(), result(relative=0.6, seed=9)), "latency") == {"passed"}, "the same file"


def test_latency_is_what_the_caller_finds_of_each_pair() -> None:
    def check(pair: Pair) -> Iterator[Check]:
        yield Check("latency", pair.name, "regressed" if pair.name == INT8 else "passed", "", "1 thread")

    verdict = compare_runs(result(), result(), check_latency=check)
    assert outcomes(verdict, "latency") == {"regressed"}
    assert outcomes(verdict, "latency", "model.float32.tflite") == {"passed"}
    assert compare_runs(result(), result(), scope=Scope(("size",)), check_latency=check).outcome == "passed"


def with_structure(value: RunResult, **changes: Any) -> RunResult:
    structure = Structure(
        **{"operators": (("ADD", 1), ("CONV_2D", 9)), "macs": 1000, "arena_bytes": 640, "undelegated": 1, **changes}
    )
    return dataclasses.replace(value, artifacts=tuple(dataclasses.replace(a, structure=structure) for a in value.artifacts))


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"macs": 1001}, "multiply-accumulates"),
        ({"arena_bytes": 704}, "arena bytes"),
        ({"operators": (("ADD", 2), ("CONV_2D", 9))}, "operators"),
        ({"undelegated": 2}, "operators not delegated"),
    ],
)
def test_every_count_of_the_structure_is_compared_exactly(changes: dict[str, Any], title: str) -> None:
    before, after = with_structure(result()), with_structure(result(), **changes)
    verdict = compare_runs(before, after)
    assert {check.detail for check in verdict.checks if check.outcome == "regressed"} == {title}
    assert compare_runs(after, before).outcome == "passed", "less is better"
    assert compare_runs(before, after, Tolerances(structure=1.0)).outcome == "passed"


def test_a_structure_of_one_run_alone_is_missing_and_what_a_format_has_not_is_no_check() -> None:
    assert outcomes(compare_runs(result(), with_structure(result())), "structure") == {"missing"}
    onnx = with_structure(result(), macs=None, arena_bytes=None, undelegated=None)
    assert {c.detail for c in compare_runs(onnx, onnx).checks if c.what == "structure"} == {"operators"}


def test_exports_of_one_lock_must_have_the_same_bytes() -> None:
    before, after = result(), other_files(result())
    assert outcomes(compare_runs(before, after), "sha256") == set()
    assert outcomes(compare_runs(before, after, one_lock=True), "sha256") == {"regressed"}
    assert outcomes(compare_runs(before, before, one_lock=True), "sha256") == {"passed"}


def test_memory_and_size_decide_only_beyond_their_samples() -> None:
    # The peaks 80 to 80.2 MB before; 87.9 to 88.1 now: 9.6 % at least and 10.1 % at most.
    assert outcomes(compare_runs(result(), result(peak=87.9)), "memory") == {"inconclusive"}
    assert outcomes(compare_runs(result(), result(peak=87.0)), "memory") == {"passed"}
    assert outcomes(compare_runs(result(), result(peak=90.0)), "memory") == {"regressed"}


# --- budgets


def by_title(verdict: Verdict) -> dict[tuple[str, str], str]:
    return {(check.artifact, check.title): check.outcome for check in verdict.checks if check.detail == "budget"}


def test_budgets_are_absolute_and_for_int8() -> None:
    # The int8 file takes about 30 ms at one thread, has 1 MB and a peak of 80.2 MB.
    actual = by_title(compare_runs(result(), result(), ceilings=Ceilings(ms=60, mb=0.9, peak_mb=80.1)))
    assert actual == {
        (INT8, "latency, budget"): "passed",
        (INT8, "size, budget"): "regressed",
        (INT8, "memory, budget"): "inconclusive",
    }
    assert by_title(compare_runs(result(), result(), ceilings=Ceilings(ms=10)))[INT8, "latency, budget"] == "regressed"
    assert compare_runs(result(), result(), ceilings=Ceilings(mb=0.9)).exit_code() == 1
    named = compare_runs(result(), result(), scope=Scope(files=("*float32*",)), ceilings=Ceilings(mb=1))
    assert by_title(named) == {("model.float32.tflite", "size, budget"): "regressed"}


def test_a_budget_needs_no_machine_like_the_baselines() -> None:
    verdict = compare_runs(change_environment(result(), cpu="Another CPU"), result(), ceilings=Ceilings(ms=10))
    assert verdict.exit_code() == 1


def test_a_budget_of_what_was_not_measured_is_not_met() -> None:
    bare = tuple(dataclasses.replace(a, memory=None, latencies=()) for a in result().artifacts)
    value = dataclasses.replace(result(), artifacts=bare)
    verdict = compare_runs(value, value, ceilings=Ceilings(ms=60, peak_mb=100))
    assert set(by_title(verdict).values()) == {"incomparable"}
    assert verdict.exit_code() == 3


# --- which files belong together


def renamed(value: RunResult, **names: str) -> RunResult:
    """The run with files called otherwise."""
    changes = {f"model.{key}.tflite": name for key, name in names.items()}
    artifacts = tuple(dataclasses.replace(a, name=changes.get(a.name, a.name)) for a in value.artifacts)
    return dataclasses.replace(value, artifacts=artifacts, reference=changes.get(value.reference, value.reference))


def test_files_of_other_names_are_matched_by_what_they_are_for() -> None:
    verdict = compare_runs(renamed(result(), int8="old/liver.int8.tflite"), renamed(result(dice=0.5), int8="liver_v2.tflite"))
    assert outcomes(verdict, "accuracy", "liver_v2.tflite") == {"regressed"}
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
    verdict = compare_runs(with_onnx(result()), result())
    assert verdict.exit_code() == 0
    missing = {check.artifact for check in verdict.checks if check.outcome == "missing"}
    assert missing == {"model.float32.onnx", "model.int8.onnx"}
    assert verdict.exit_code(strict=True) == 1
    assert compare_runs(with_onnx(result()), result(dice=0.5)).exit_code() == 1, "a loss is still seen"


def test_files_are_chosen_by_patterns() -> None:
    verdict = compare_runs(with_onnx(result()), result(), scope=Scope(files=("*int8.tflite",)))
    assert {check.artifact for check in verdict.checks} == {INT8}
    assert verdict.exit_code() == 0
    with pytest.raises(ConfigError, match=r"--file \*int4\*: no file"):
        compare_runs(result(), result(), scope=Scope(files=("*int4*",)))


def test_two_files_of_one_role_are_not_guessed_apart() -> None:
    twice = dataclasses.replace(
        result(), artifacts=(*result().artifacts, dataclasses.replace(result().artifacts[1], name="b.int8.tflite"))
    )
    verdict = compare_runs(twice, renamed(result(), int8="c.int8.tflite"))
    assert {c.artifact for c in verdict.checks if c.outcome == "missing"} == {INT8, "b.int8.tflite", "c.int8.tflite"}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"cpu": "Another CPU"}, "processors"),
        ({"features": ("avx2",)}, "features"),
        ({"machine": "aarch64"}, "instruction sets"),
        ({"system": "Darwin 23"}, "operating systems"),
    ],
)
def test_memory_of_another_machine_is_not_compared_but_accuracy_is(changes: dict[str, object], word: str) -> None:
    verdict = compare_runs(result(), change_environment(result(), **changes))
    assert (verdict.outcome, verdict.exit_code()) == ("incomparable", 3)
    assert outcomes(verdict, "memory") == {"incomparable"}
    assert outcomes(verdict, "accuracy") == outcomes(verdict, "size") == {"passed"}
    assert any(word in check.reason for check in verdict.checks)
    assert (
        compare_runs(result(), change_environment(result(), **changes), scope=Scope(("accuracy", "size"))).outcome == "passed"
    )


def test_a_new_kernel_or_library_is_still_compared() -> None:
    current = change_environment(result(), system="Linux 7.0", libraries=(("ai-edge-litert", "2.4.0"),))
    assert compare_runs(result(), current).outcome == "passed"


def test_a_regression_outweighs_what_cannot_be_compared() -> None:
    verdict = compare_runs(result(), change_environment(result(dice=0.5), cpu="Another CPU"))
    assert verdict.exit_code() == 1


def test_other_data_classes_shapes_or_artifacts_are_incomparable() -> None:
    base = result()
    assert base.data is not None
    other_data = dataclasses.replace(base, data=dataclasses.replace(base.data, sha256="ef" * 32))
    assert outcomes(compare_runs(base, other_data), "accuracy") == {"incomparable"}
    assert outcomes(compare_runs(base, other_data), "latency") == {"passed"}
    other_classes = dataclasses.replace(base, class_names=("background", "left", "up"))
    other_shape = dataclasses.replace(
        base, artifacts=tuple(dataclasses.replace(a, input_shape=(64, 64, 1)) for a in base.artifacts)
    )
    fewer = dataclasses.replace(base, artifacts=base.artifacts[:1])
    for current in (other_classes, other_shape):
        for pair in ((base, current), (current, base)):
            verdict = compare_runs(*pair)
            assert verdict.exit_code() == 3
            assert {c.outcome for c in verdict.checks if c.artifact == INT8} == {"incomparable"}
    assert {c.outcome for c in compare_runs(base, fewer).checks if c.artifact == INT8} == {"missing"}


def test_what_neither_run_measured_is_no_check() -> None:
    bare = tuple(dataclasses.replace(a, memory=None, accuracy=None, latencies=()) for a in result().artifacts)
    value = dataclasses.replace(result(), artifacts=bare, data=None)
    assert {check.what for check in compare_runs(value, value).checks} == {"size", "latency"}
    assert {check.what for check in compare_runs(value, other_files(value)).checks} == {"size"}
    assert outcomes(compare_runs(result(), value), "memory") == {"missing"}


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
