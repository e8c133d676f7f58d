"""Is the current file slower than the baseline's? Decided from rounds in which both were timed side by side.

The baseline's file is timed twice in each round, as A and A', and the current file once, as B. The ratio is the median of B/A
and B/A' over all rounds. Both are taken one by one: B against the mean of A and A' would have a median that is too low, since
other programs only add time. The 95 % interval is that of a bootstrap (Efron 1979) over blocks of two rounds, of which the
second runs backwards (ABBA). A'/A shows what the same file differs from itself in this run, by its place in memory or by what
else the machine does: the A/A floor.

A slow-down is only reported after a second, independent round of measurements has found it too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from u3p_edge.benchmark.checks import Check, Outcome
from u3p_edge.benchmark.statistics import Interval, bootstrap_median, samples_to_decide
from u3p_edge.text import thread_count

FEWEST_BLOCKS = 6
"""Fewer blocks decide nothing: the median lies between the extremes of n values in 1 - 2^(1-n) of all cases, and 6 is the first
n for which that is more than 95 %."""

BLOCK = 2
"""Rounds of a block."""


@dataclass(frozen=True)
class PairedRounds:
    """Milliseconds of two files, timed side by side: one value a round.

    Args:
        baseline_ms: of the baseline's file (A).
        again_ms: of the same file, loaded a second time (A').
        current_ms: of the current file (B).
        in_time: whether the rounds were as precise as asked for before the time was up.
    """

    baseline_ms: tuple[float, ...]
    again_ms: tuple[float, ...]
    current_ms: tuple[float, ...]
    in_time: bool = True


@dataclass(frozen=True)
class Slowdown:
    """What paired rounds show.

    Args:
        change: time of the current file as a ratio to the baseline's, with its 95 % interval.
        same: time of the baseline's file as a ratio to itself (A' to A), with its 95 % interval.
        blocks: number of blocks.
        in_time: see `PairedRounds`.
    """

    change: Interval
    same: Interval
    blocks: int
    in_time: bool

    @property
    def bias(self) -> float:
        """The least ratio, from 1 on, by which the rounds show the same file to differ from itself."""
        return max(self.same.low, 1 / self.same.high, 1.0)

    @property
    def floor(self) -> float:
        """The A/A floor: the greatest ratio, from 1 on, by which the same file may differ from itself."""
        return max(self.same.high, 1 / self.same.low, 1.0)

    @property
    def uncertainty(self) -> float:
        """The uncertainty of the less certain of the two ratios, as a share."""
        return max(self.change.uncertainty, self.same.uncertainty)


def estimate_slowdown(rounds: PairedRounds) -> Slowdown:
    """Return what paired rounds show; at least two rounds.

    >>> estimate_slowdown(PairedRounds((2.0,) * 12, (2.0,) * 12, (3.0,) * 12)).change.estimate.__round__(3)
    1.5
    """
    first, again, current = (_blocks(ms) for ms in (rounds.baseline_ms, rounds.again_ms, rounds.current_ms))
    change, same = _ratio(np.hstack([current - first, current - again])), _ratio(again - first)
    return Slowdown(change, same, len(first), rounds.in_time)


def judge_slowdown(slowdown: Slowdown, limit: float) -> Outcome:
    """Return what one round of measurements says: passed, regressed or inconclusive.

    A ratio's interval is first widened by what the same file is shown to differ from itself (`Slowdown.bias`). It passed if the
    whole of it is at most `limit`. It regressed if the whole of it is above, and the ratio is above the A/A floor.

    Args:
        slowdown: of the rounds.
        limit: how many times the baseline's time the current file may take.
    """
    if slowdown.blocks < FEWEST_BLOCKS:
        return "inconclusive"
    if slowdown.change.low / slowdown.bias > limit and slowdown.change.estimate > slowdown.floor:
        return "regressed"
    return "passed" if slowdown.change.high * slowdown.bias <= limit else "inconclusive"


def confirm_slowdown(first: Slowdown, measure_again: Callable[[], Slowdown], limit: float) -> Outcome:
    """Return what a gate says: regressed only if a second round of measurements says so too, else inconclusive.

    Args:
        first: of the first round of measurements.
        measure_again: gives that of the second; called only where the first says that the file regressed.
        limit: see `judge_slowdown`.
    """
    outcome = judge_slowdown(first, limit)
    if outcome == "regressed" and judge_slowdown(measure_again(), limit) != "regressed":
        return "inconclusive"
    return outcome


def check_slowdown(measure: Callable[[], PairedRounds], name: str, threads: int, limit: float) -> Check:
    """Return the check of a file's latency; a slow-down is measured a second time before it is reported.

    Args:
        measure: takes paired rounds; called once, or twice where the first say that the file regressed.
        name: of the current file.
        threads: number of threads, for the record.
        limit: how many times the baseline's time it may take.
    """
    first, again = estimate_slowdown(measure()), cache(lambda: estimate_slowdown(measure()))
    outcome, reason = confirm_slowdown(first, again, limit), describe_slowdown(first, limit)
    if judge_slowdown(first, limit) == "regressed":
        verb = "found it too" if outcome == "regressed" else "did not confirm it"
        reason = f"{reason}; a second round of measurements {verb}: {_times(again().change)}"
    return Check("latency", name, outcome, reason, thread_count(threads))


def describe_slowdown(slowdown: Slowdown, limit: float) -> str:
    """Return the ratio, its interval and the A/A floor in words; where they do not decide, also why."""
    change, rounds = slowdown.change, BLOCK * slowdown.blocks
    measured = (
        f"{_times(change)} of the baseline's time, at most x{limit:.3f} is allowed; the baseline's file against itself "
        f"{_times(slowdown.same)}; {rounds} rounds"
    )
    if judge_slowdown(slowdown, limit) != "inconclusive":
        return measured
    if slowdown.blocks < FEWEST_BLOCKS:
        return f"{measured}, too few: {BLOCK * FEWEST_BLOCKS} are needed, so give more --seconds"
    if slowdown.bias > 1:
        return f"{measured}: the same file differs from itself here, so a quieter machine is needed"
    wanted = samples_to_decide(slowdown.blocks, change, limit)
    more = "the ratio is at the limit itself" if wanted is None else f"about {BLOCK * wanted} would decide"
    return f"{measured}{'' if slowdown.in_time else ' until the time was up'} do not decide, {more}"


def _times(ratio: Interval) -> str:
    return f"x{ratio.estimate:.3f} (95 % interval {ratio.low:.3f} to {ratio.high:.3f})"


def _blocks(samples_ms: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return the logarithms of whole blocks: float64 [blocks, BLOCK]."""
    whole = len(samples_ms) // BLOCK * BLOCK
    logs: npt.NDArray[np.float64] = np.log(np.asarray(samples_ms[:whole], np.float64))
    return logs.reshape(-1, BLOCK)


def _ratio(logs: npt.NDArray[np.float64]) -> Interval:
    interval = bootstrap_median(logs)
    return Interval(*(math.exp(value) for value in (interval.estimate, interval.low, interval.high)))
