"""Absolute budgets of the gate: the most that a file may cost on this machine, whatever it cost in the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from u3p_edge.benchmark.checks import Check, Outcome, What
from u3p_edge.benchmark.result import ArtifactResult
from u3p_edge.benchmark.statistics import Interval, median
from u3p_edge.text import thread_count


@dataclass(frozen=True)
class Ceilings:
    """The budgets of a file; None for no budget.

    Args:
        ms: median latency in milliseconds, at the smallest number of threads that is compared.
        mb: size of the file in 10^6 bytes.
        peak_mb: peak memory of a fresh process in 10^6 bytes.
    """

    ms: float | None = None
    mb: float | None = None
    peak_mb: float | None = None

    @property
    def given(self) -> bool:
        """Whether there is any budget."""
        return (self.ms, self.mb, self.peak_mb) != (None, None, None)


def select_bounded(artifacts: Sequence[ArtifactResult], named: bool) -> tuple[ArtifactResult, ...]:
    """Return the files that the budgets apply to: all if the user named them, else the int8 ones, else all."""
    int8 = tuple(artifact for artifact in artifacts if artifact.format.endswith("-int8"))
    return tuple(artifacts) if named or not int8 else int8


def check_ceilings(artifact: ArtifactResult, ceilings: Ceilings, threads: Sequence[int]) -> Iterator[Check]:
    """Yield one check per budget.

    Args:
        artifact: the file, as measured in the current run.
        ceilings: the budgets.
        threads: numbers of threads to compare; empty for all.
    """
    if ceilings.ms is not None:
        yield _latency(artifact, ceilings.ms, threads)
    if ceilings.mb is not None:
        size = artifact.bytes / 1e6
        yield _check("size", artifact, Interval(size, size, size), ceilings.mb, "MB")
    if ceilings.peak_mb is not None and artifact.memory is None:
        yield Check("memory", artifact.name, "incomparable", "its peak memory was not measured", "budget")
    elif ceilings.peak_mb is not None and artifact.memory is not None:
        peaks = artifact.memory.peak_mb
        yield _check("memory", artifact, Interval(max(peaks), min(peaks), max(peaks)), ceilings.peak_mb, "MB")


def _latency(artifact: ArtifactResult, limit: float, threads: Sequence[int]) -> Check:
    timed = sorted((e for e in artifact.latencies if not threads or e.threads in threads), key=lambda entry: entry.threads)
    if not timed:
        return Check("latency", artifact.name, "incomparable", "its latency was not measured", "budget")
    return _check("latency", artifact, median(timed[0].samples_ms), limit, "ms", f" at {thread_count(timed[0].threads)}")


def _check(what: What, artifact: ArtifactResult, measured: Interval, limit: float, unit: str, where: str = "") -> Check:
    outcome: Outcome = "regressed" if measured.low > limit else "passed" if measured.high <= limit else "inconclusive"
    bounds = "" if measured.low == measured.high else f" ({measured.low:.3g} to {measured.high:.3g})"
    reason = f"{measured.estimate:.3g} {unit}{bounds}{where}, at most {limit:g} is allowed"
    return Check(what, artifact.name, outcome, reason, "budget")
