"""The gate's latency comparison: the change of a file's ratio to a float file of the same run, with its interval."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from u3p_edge.benchmark.checks import Check, Outcome
from u3p_edge.benchmark.matching import Pair
from u3p_edge.benchmark.result import ArtifactResult
from u3p_edge.benchmark.statistics import Interval, ratio_change, samples_to_decide
from u3p_edge.latency.clock import MINIMUM_ROUNDS
from u3p_edge.text import thread_count


def check_latency(
    before: ArtifactResult, after: ArtifactResult, reference: Pair, cores: tuple[int, int], limit: float, threads: Sequence[int]
) -> Iterator[Check]:
    """Yield one check per number of threads.

    Args:
        before, after: the file in the baseline and in the current run.
        reference: the float file of both runs that ratios refer to.
        cores: number of cores of the machines of both runs.
        limit: how many times the baseline's ratio the current ratio may be.
        threads: numbers of threads to compare; empty for all.
    """
    measured = sorted({entry.threads for a in (before, after) for entry in a.latencies})
    for count in (n for n in measured if not threads or n in threads):
        outcome, reason = _compare(before, after, reference, cores, limit, count)
        yield Check("latency", after.name, outcome, reason, thread_count(count))


def _compare(
    before: ArtifactResult, after: ArtifactResult, reference: Pair, cores: tuple[int, int], limit: float, threads: int
) -> tuple[Outcome, str]:
    old, new = before.latency(threads), after.latency(threads)
    old_float, new_float = (a.latency(threads) if a else None for a in (reference.before, reference.after))
    if old is None or new is None or old_float is None or new_float is None:
        return "missing", "only one of the two runs timed it"
    if threads > 1 and cores[0] != cores[1]:
        return "incomparable", f"the numbers of cores differ ({cores[0]}, {cores[1]})"
    if min(len(old.samples_ms), len(new.samples_ms)) < MINIMUM_ROUNDS:
        return "inconclusive", f"fewer than {MINIMUM_ROUNDS} rounds do not show the spread"
    change = ratio_change((old.samples_ms, old_float.samples_ms), (new.samples_ms, new_float.samples_ms))
    return _decide(change, limit, min(len(old.samples_ms), len(new.samples_ms)))


def _decide(change: Interval, limit: float, rounds: int) -> tuple[Outcome, str]:
    """Decide: regressed only if the whole interval is beyond the limit, passed only if the whole interval is within it."""
    measured = (
        f"time against float x{change.estimate:.3f} of the baseline's (95 % interval {change.low:.3f} to {change.high:.3f}, "
        f"at most {limit:.3f} is allowed)"
    )
    if change.low > limit:
        return "regressed", measured
    if change.high <= limit:
        return "passed", measured
    wanted = samples_to_decide(rounds, change, limit)
    more = "the median is at the limit itself" if wanted is None else f"about {wanted} rounds in both runs would decide"
    return "inconclusive", f"{measured}: {rounds} rounds do not decide, {more}"
