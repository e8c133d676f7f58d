"""The gate: is a run worse than the one kept as baseline?

Latency is compared as the ratio to the float model of the same run, never as absolute time, and fails only when the
whole bootstrap interval of the change lies beyond the tolerance. What cannot be compared is said to be incomparable,
neither passed nor failed. At two threads only rounds count in which the two cores shared a cache, where that is known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from u3p_edge.benchmark.handoff import least, together
from u3p_edge.benchmark.result import Accuracy, ArtifactResult, Environment, Latency, Memory, RunResult
from u3p_edge.benchmark.statistics import ratio_change
from u3p_edge.benchmark.timing import MINIMUM_ROUNDS

Outcome = Literal["passed", "regressed", "incomparable"]
What = Literal["accuracy", "latency", "memory", "size"]
EVERYTHING: tuple[What, ...] = ("accuracy", "latency", "memory", "size")
EXIT_CODES: dict[Outcome, int] = {"passed": 0, "regressed": 1, "incomparable": 3}


@dataclass(frozen=True)
class Tolerances:
    """What may change without a regression.

    Args:
        slowdown: of the latency ratio to float, as a share: 0.1 = 10 %.
        drop: of the mean foreground Dice, in points: 0.1 = from 90.0 to 89.9.
        memory: growth of the peak, as a share.
        size: growth of the file, as a share.
    """

    slowdown: float = 0.10
    drop: float = 0.1
    memory: float = 0.10
    size: float = 0.02


@dataclass(frozen=True)
class Check:
    """One comparison of one artifact, and why it ended so."""

    what: What
    artifact: str
    outcome: Outcome
    reason: str


@dataclass(frozen=True)
class Verdict:
    """All checks; one regression is enough to fail, then one incomparable check to say so."""

    checks: tuple[Check, ...]

    @property
    def outcome(self) -> Outcome:
        """regressed, else incomparable (also when nothing at all was compared), else passed."""
        outcomes = {check.outcome for check in self.checks}
        if "regressed" in outcomes:
            return "regressed"
        return "passed" if outcomes == {"passed"} else "incomparable"

    @property
    def exit_code(self) -> int:
        """0 passed, 1 regressed, 3 incomparable."""
        return EXIT_CODES[self.outcome]


def gate(
    baseline: RunResult, current: RunResult, tolerances: Tolerances | None = None, what: tuple[What, ...] = EVERYTHING
) -> Verdict:
    """Compare two runs, artifact by artifact (matched by name)."""
    limits = tolerances or Tolerances()
    names = dict.fromkeys(a.name for a in (*baseline.artifacts, *current.artifacts))
    return Verdict(tuple(check for name in names for check in _artifact(baseline, current, name, limits, what)))


def _artifact(
    baseline: RunResult, current: RunResult, name: str, limits: Tolerances, what: tuple[What, ...]
) -> Iterator[Check]:
    before, after = baseline.get(name), current.get(name)
    difference = _different_task(baseline, current, before, after)
    if difference or before is None or after is None:
        yield from (Check(w, name, "incomparable", difference) for w in what)
        return
    if "accuracy" in what:
        yield from _accuracy(baseline, current, before, after, limits)
    if "latency" in what and name != baseline.reference:
        yield from _latency(baseline, current, before, after, limits)
    if "memory" in what:
        yield from _memory(baseline.environment, current.environment, before, after, limits)
    if "size" in what:
        yield _growth("size", name, before.bytes / 1e6, after.bytes / 1e6, limits.size)


def _different_task(
    baseline: RunResult, current: RunResult, before: ArtifactResult | None, after: ArtifactResult | None
) -> str:
    """Why an artifact of two runs is not the same thing; empty if it is."""
    if before is None or after is None:
        return f"it is in the {'current run' if before is None else 'baseline'} alone"
    if before.input_shape != after.input_shape:
        return f"its input was {_shape(before)} and is {_shape(after)}"
    if before.format != after.format:
        return f"it was {before.format} and is {after.format}"
    if baseline.class_names != current.class_names:
        return f"its classes were {', '.join(baseline.class_names)} and are {', '.join(current.class_names)}"
    return ""


def _accuracy(
    baseline: RunResult, current: RunResult, before: ArtifactResult, after: ArtifactResult, limits: Tolerances
) -> Iterator[Check]:
    name = before.name
    if before.accuracy is None and after.accuracy is None:
        return
    if baseline.data is None or current.data is None or baseline.data.sha256 != current.data.sha256:
        yield Check("accuracy", name, "incomparable", "the two runs were scored on different images")
        return
    old, new = _mean_dice(before.accuracy), _mean_dice(after.accuracy)
    if old is None or new is None:
        yield Check("accuracy", name, "incomparable", "no foreground class is in the images")
        return
    drop = 100 * (old - new)
    # A drop of exactly the tolerance passes; 1e-9 covers the rounding of the subtraction.
    outcome: Outcome = "regressed" if drop > limits.drop + 1e-9 else "passed"
    yield Check(
        "accuracy", name, outcome, f"mean Dice {100 * old:.2f} -> {100 * new:.2f} ({-drop:+.2f} points, {limits.drop:g} may go)"
    )


def _latency(
    baseline: RunResult, current: RunResult, before: ArtifactResult, after: ArtifactResult, limits: Tolerances
) -> Iterator[Check]:
    difference = _different_machine(baseline.environment, current.environment)
    if baseline.reference != current.reference:
        difference = f"ratios refer to {baseline.reference} in the baseline and to {current.reference} now"
    for threads in sorted({entry.threads for a in (before, after) for entry in a.latencies}):
        outcome, reason = _ratio(baseline, current, before, after, threads, limits)
        if difference:
            outcome, reason = "incomparable", difference
        yield Check("latency", before.name, outcome, f"{threads} thread{'s' if threads > 1 else ''}: {reason}")


def _ratio(
    baseline: RunResult, current: RunResult, before: ArtifactResult, after: ArtifactResult, threads: int, limits: Tolerances
) -> tuple[Outcome, str]:
    old, new = before.latency(threads), after.latency(threads)
    old_float, new_float = baseline.reference_latency(threads), current.reference_latency(threads)
    if old is None or new is None or old_float is None or new_float is None:
        return "incomparable", "it was timed in one of the two runs alone"
    cores = baseline.environment.cores, current.environment.cores
    if threads > 1 and cores[0] != cores[1]:
        return "incomparable", f"the numbers of cores differ ({cores[0]}, {cores[1]})"
    if min(len(old.samples_ms), len(new.samples_ms)) < MINIMUM_ROUNDS:
        return "incomparable", f"fewer than {MINIMUM_ROUNDS} rounds say nothing of the spread"
    shortest = least((old, old_float, new, new_float))
    before_ms, after_ms = (_alike(pair, shortest) for pair in ((old, old_float), (new, new_float)))
    if min(len(before_ms[0]), len(after_ms[0])) < MINIMUM_ROUNDS:
        return "incomparable", f"in fewer than {MINIMUM_ROUNDS} rounds of one of the runs did the two cores share a cache"
    change = ratio_change(before_ms, after_ms)
    said = (
        f"time against float x{change.median:.3f} of the baseline's (95 % interval {change.low:.3f} to {change.high:.3f}, "
        f"{1 + limits.slowdown:.3f} may be)"
    )
    if change.low > 1 + limits.slowdown:
        return "regressed", said
    return (
        "passed",
        said if change.high <= 1 + limits.slowdown else f"{said}: too noisy to rule a slowdown out, more rounds would",
    )


def _alike(pair: tuple[Latency, Latency], shortest: float | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The samples of two artifacts in the rounds in which the cores shared a cache; in all of them where nothing is known."""
    own, other = (entry.samples_ms for entry in pair)
    if shortest is None:
        return own, other
    rounds = together(pair, shortest)
    return tuple(own[i] for i in rounds), tuple(other[i] for i in rounds)


def _memory(
    old: Environment, new: Environment, before: ArtifactResult, after: ArtifactResult, limits: Tolerances
) -> Iterator[Check]:
    if before.memory is None and after.memory is None:
        return
    difference = _different_machine(old, new)
    if before.memory is None or after.memory is None:
        difference = "it was weighed in one of the two runs alone"
    if difference or before.memory is None or after.memory is None:
        yield Check("memory", before.name, "incomparable", difference)
        return
    # The least of the new samples against the most of the old ones: with three samples, that is the interval.
    yield _growth("memory", before.name, _peak(before.memory, most=True), _peak(after.memory, most=False), limits.memory)


def _growth(what: What, name: str, old: float, new: float, limit: float) -> Check:
    share = new / old - 1 if old > 0 else 0.0
    outcome: Outcome = "regressed" if share > limit else "passed"
    return Check(what, name, outcome, f"{old:.2f} -> {new:.2f} MB ({share:+.1%}, {limit:.1%} may be added)")


def _different_machine(old: Environment, new: Environment) -> str:
    """Why times and memory of two machines say nothing of each other; empty if they do."""
    for label, a, b in (
        ("operating systems", old.system.split(" ")[0], new.system.split(" ")[0]),
        ("instruction sets", old.machine, new.machine),
        ("processors", old.cpu, new.cpu),
        ("processor features", old.features, new.features),
    ):
        if a != b:
            said = ["+".join(x) if isinstance(x, tuple) else x for x in (a, b)]
            return f"the {label} differ ({said[0] or 'none'}, {said[1] or 'none'})"
    return ""


def _mean_dice(accuracy: Accuracy | None) -> float | None:
    return None if accuracy is None else accuracy.mean_dice


def _peak(memory: Memory, *, most: bool) -> float:
    return max(memory.peak_mb) if most else min(memory.peak_mb)


def _shape(artifact: ArtifactResult) -> str:
    return "x".join(map(str, artifact.input_shape))
