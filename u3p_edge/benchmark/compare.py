"""The gate: is a run worse than the one kept as baseline?

Latency is compared as the ratio to a float file of the same run, never as absolute time. It regressed only if the whole
bootstrap interval of its change lies beyond the tolerance. It passed only if the whole interval lies within the tolerance.
Otherwise the samples do not decide: the outcome is inconclusive. Dice is compared alike, by the interval of its drop over
groups. What cannot be compared has neither passed nor failed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from u3p_edge.benchmark.ceilings import Ceilings, check_ceilings, select_bounded
from u3p_edge.benchmark.checks import EVERYTHING, Check, Outcome, Tolerances, Verdict, What
from u3p_edge.benchmark.dice_drop import check_accuracy
from u3p_edge.benchmark.matching import Pair, choose_reference, match, select
from u3p_edge.benchmark.result import ArtifactResult, Environment, RunResult
from u3p_edge.benchmark.slowdown import check_latency


@dataclass(frozen=True)
class Scope:
    """Which parts of two runs are compared.

    Args:
        what: any of accuracy, latency, memory and size.
        files: patterns of names, e.g. "*int8*"; empty for all files.
        threads: numbers of threads; empty for all.
        reference: name of the float file that ratios refer to; empty for the baseline's, if both runs have it.
    """

    what: tuple[What, ...] = EVERYTHING
    files: tuple[str, ...] = ()
    threads: tuple[int, ...] = ()
    reference: str = ""


def gate(
    baseline: RunResult,
    current: RunResult,
    tolerances: Tolerances | None = None,
    scope: Scope | None = None,
    ceilings: Ceilings | None = None,
) -> Verdict:
    """Compare two runs file by file, each with the file of the same name or role.

    A file that only one run has is reported as missing, and not compared.

    Raises:
        ConfigError: no file has a name that `scope` gives.
    """
    limits, scope, ceilings = tolerances or Tolerances(), scope or Scope(), ceilings or Ceilings()
    pairs = match(baseline, current)
    reference = choose_reference(pairs, baseline, current, scope.reference)
    chosen = select(pairs, scope.files)
    checks = [check for pair in chosen for check in _pair(baseline, current, pair, reference, limits, scope)]
    if ceilings.given:
        files = [pair.after for pair in chosen if pair.after is not None]
        checks += [c for a in select_bounded(files, bool(scope.files)) for c in check_ceilings(a, ceilings, scope.threads)]
    return Verdict(tuple(checks), _notes(baseline, current, chosen, reference, scope))


def _pair(
    baseline: RunResult, current: RunResult, pair: Pair, reference: Pair | None, limits: Tolerances, scope: Scope
) -> Iterator[Check]:
    before, after, what = pair.before, pair.after, scope.what
    if before is None or after is None:
        where = "current run" if before is None else "baseline"
        yield Check("file", pair.name, "missing", f"only the {where} has it")
        return
    difference = _different_task(baseline, current, before, after)
    if difference:
        yield from (Check(w, pair.name, "incomparable", difference) for w in what)
        return
    if "accuracy" in what:
        yield from check_accuracy(before, after, (baseline.data, current.data), limits.drop)
    if "latency" in what and pair != reference:
        yield from _latency(baseline, current, before, after, reference, limits, scope.threads)
    if "memory" in what:
        yield from _memory(baseline.environment, current.environment, before, after, limits)
    if "size" in what:
        yield _growth("size", after.name, (before.bytes / 1e6,), (after.bytes / 1e6,), limits.size)


def _notes(
    baseline: RunResult, current: RunResult, pairs: Sequence[Pair], reference: Pair | None, scope: Scope
) -> tuple[str, ...]:
    """Note which files were compared under two names, and which file ratios refer to if that is not obvious."""
    notes = [
        f"{pair.before.name} of the baseline is compared with {pair.after.name}: both are {pair.after.format}."
        for pair in pairs
        if pair.before and pair.after and pair.before.name != pair.after.name
    ]
    timed = "latency" in scope.what and baseline.threads and current.threads
    if not timed or reference is None or reference.before is None or reference.after is None:
        return tuple(notes)
    if {baseline.reference, current.reference} != {reference.name}:
        notes.append(f"Ratios of latencies refer to {reference.name}, which both runs have.")
    if reference.before.sha256 != reference.after.sha256:
        notes.append(f"{reference.name}, which ratios refer to, is another file in each run: if it became slower, so may all.")
    return tuple(notes)


def _different_task(baseline: RunResult, current: RunResult, before: ArtifactResult, after: ArtifactResult) -> str:
    """Return why an artifact does not do the same task in both runs; empty if it does."""
    if before.input_shape != after.input_shape:
        return f"its input was {_shape(before)} and is {_shape(after)}"
    if before.format != after.format:
        return f"it was {before.format} and is {after.format}"
    if baseline.class_names != current.class_names:
        return f"its classes were {', '.join(baseline.class_names)} and are {', '.join(current.class_names)}"
    return ""


def _latency(
    baseline: RunResult,
    current: RunResult,
    before: ArtifactResult,
    after: ArtifactResult,
    reference: Pair | None,
    limits: Tolerances,
    threads: tuple[int, ...],
) -> Iterator[Check]:
    if not before.latencies and not after.latencies:
        return
    difference = _different_machine(baseline.environment, current.environment)
    if reference is None:
        difference = "no float file is in both runs, so there are no ratios to compare"
    cores = baseline.environment.cores, current.environment.cores
    checks = () if reference is None else check_latency(before, after, reference, cores, 1 + limits.slowdown, threads)
    if difference:
        yield Check("latency", after.name, "incomparable", difference)
    else:
        yield from checks


def _memory(
    old: Environment, new: Environment, before: ArtifactResult, after: ArtifactResult, limits: Tolerances
) -> Iterator[Check]:
    if before.memory is None and after.memory is None:
        return
    if before.memory is None or after.memory is None:
        yield Check("memory", after.name, "missing", "only one of the two runs measured it")
    elif difference := _different_machine(old, new):
        yield Check("memory", after.name, "incomparable", difference)
    else:
        yield _growth("memory", after.name, before.memory.peak_mb, after.memory.peak_mb, limits.memory)


def _growth(what: What, name: str, old: Sequence[float], new: Sequence[float], limit: float) -> Check:
    """Check a growth. With a few samples each, it lies between the growths of the extremes; for equal samples it is 0."""
    least, most = _share(min(new), max(old)), _share(max(new), min(old))
    if tuple(old) == tuple(new):
        least = most = 0.0
    outcome: Outcome = "regressed" if least > limit else "passed" if most <= limit else "inconclusive"
    share = f"{least:+.1%}" if least == most else f"{least:+.1%} to {most:+.1%}"
    return Check(what, name, outcome, f"{max(old):.2f} -> {max(new):.2f} MB ({share}, growth of {limit:.1%} is allowed)")


def _share(new: float, old: float) -> float:
    """Return the growth from old to new as a share; infinite if old is 0."""
    if old <= 0:
        return math.inf if new > 0 else 0.0
    return new / old - 1


def _different_machine(old: Environment, new: Environment) -> str:
    """Return why times and memory of the two machines cannot be compared; empty if they can."""
    for label, a, b in (
        ("operating systems", old.system.split(" ")[0], new.system.split(" ")[0]),
        ("instruction sets", old.machine, new.machine),
        ("processors", old.cpu, new.cpu),
        ("processor features", old.features, new.features),
    ):
        if a != b:
            before, after = ("+".join(value) if isinstance(value, tuple) else value for value in (a, b))
            return f"the {label} differ ({before or 'none'}, {after or 'none'})"
    return ""


def _shape(artifact: ArtifactResult) -> str:
    return "x".join(map(str, artifact.input_shape))
