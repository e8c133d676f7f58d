"""The gate: are the files of a run worse than those kept as baseline?

What is counted is compared exactly: Dice on the same images, size, multiply-accumulates, arena, operators, and the bytes of
files that two exports made from one lock. Latency is compared where both files can be timed side by side now (`slowdown`), and
never by times that were taken at another time. What cannot be compared has neither passed nor failed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from u3p_edge.benchmark.ceilings import Ceilings, check_ceilings, select_bounded
from u3p_edge.benchmark.checks import EVERYTHING, Check, Tolerances, Verdict, What
from u3p_edge.benchmark.dice_drop import check_accuracy
from u3p_edge.benchmark.growth import check_bytes, check_file_size, check_peak_memory, check_structure
from u3p_edge.benchmark.matching import Pair, match, select
from u3p_edge.benchmark.result import ArtifactResult, RunResult

CheckLatency = Callable[[Pair], Iterator[Check]]
"""Yields the checks of the latency of a pair that both runs have."""


@dataclass(frozen=True)
class Scope:
    """Which parts of two runs are compared.

    Args:
        what: any of accuracy, latency, memory, size, structure and sha256.
        files: patterns of names, e.g. "*int8*"; empty for all files.
        threads: numbers of threads to time at; empty for 1.
    """

    what: tuple[What, ...] = EVERYTHING
    files: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()


def check_stored_latency(pair: Pair) -> Iterator[Check]:
    """Yield the check of a pair that is not timed: the same file passes, and of others that were timed the check is missing."""
    before, after = pair.before, pair.after
    if before is None or after is None:
        return
    if before.sha256 == after.sha256:
        yield Check("latency", after.name, "passed", "the same file, byte for byte")
    elif before.latencies or after.latencies:
        reason = "times of two runs are not compared: give two folders that hold the files, which are then timed side by side"
        yield Check("latency", after.name, "missing", reason)


def compare_runs(
    baseline: RunResult,
    current: RunResult,
    tolerances: Tolerances | None = None,
    scope: Scope | None = None,
    ceilings: Ceilings | None = None,
    *,
    check_latency: CheckLatency = check_stored_latency,
    one_lock: bool = False,
) -> Verdict:
    """Compare two runs file by file, each with the file of the same name or role.

    A file that only one run has is reported as missing, and not compared.

    Args:
        baseline, current: the two runs.
        tolerances: how much may change.
        scope: what is compared.
        ceilings: absolute budgets of the current run.
        check_latency: times a pair of files; the default times nothing.
        one_lock: whether both are exports that were made from the same lock.

    Raises:
        ConfigError: no file has a name that `scope` gives.
    """
    limits, scope, ceilings = tolerances or Tolerances(), scope or Scope(), ceilings or Ceilings()
    chosen = select(match(baseline, current), scope.files)
    runs = _Runs(baseline, current, limits, scope.what, check_latency, one_lock)
    checks = [check for pair in chosen for check in _pair(runs, pair)]
    if ceilings.given:
        files = [pair.after for pair in chosen if pair.after is not None]
        checks += [c for a in select_bounded(files, bool(scope.files)) for c in check_ceilings(a, ceilings, scope.threads)]
    return Verdict(tuple(checks), _notes(chosen))


@dataclass(frozen=True)
class _Runs:
    """Two runs, and how they are compared."""

    baseline: RunResult
    current: RunResult
    limits: Tolerances
    what: tuple[What, ...]
    check_latency: CheckLatency
    one_lock: bool


def _pair(runs: _Runs, pair: Pair) -> Iterator[Check]:
    before, after, what, limits = pair.before, pair.after, runs.what, runs.limits
    if before is None or after is None:
        where = "current run" if before is None else "baseline"
        yield Check("file", pair.name, "missing", f"only the {where} has it")
        return
    difference = _different_task(runs, before, after)
    if difference:
        yield from (Check(w, pair.name, "incomparable", difference) for w in what)
        return
    if "accuracy" in what:
        yield from check_accuracy(before, after, (runs.baseline.data, runs.current.data), limits.drop)
    if "latency" in what:
        yield from runs.check_latency(pair)
    if "memory" in what:
        yield from check_peak_memory((runs.baseline.environment, runs.current.environment), before, after, limits.memory)
    if "size" in what:
        yield check_file_size(before, after, limits.size)
    if "structure" in what:
        yield from check_structure(before, after, limits.structure)
    if "sha256" in what and runs.one_lock:
        yield check_bytes(before, after)


def _notes(pairs: Sequence[Pair]) -> tuple[str, ...]:
    """Note which files were compared under two names."""
    return tuple(
        f"{pair.before.name} of the baseline is compared with {pair.after.name}: both are {pair.after.format}."
        for pair in pairs
        if pair.before and pair.after and pair.before.name != pair.after.name
    )


def _different_task(runs: _Runs, before: ArtifactResult, after: ArtifactResult) -> str:
    """Return why an artifact does not do the same task in both runs; empty if it does."""
    if before.input_shape != after.input_shape:
        return f"its input was {_shape(before)} and is {_shape(after)}"
    if before.format != after.format:
        return f"it was {before.format} and is {after.format}"
    old, new = runs.baseline.class_names, runs.current.class_names
    return f"its classes were {', '.join(old)} and are {', '.join(new)}" if old != new else ""


def _shape(artifact: ArtifactResult) -> str:
    return "x".join(map(str, artifact.input_shape))
