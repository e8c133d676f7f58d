"""How this package measures time: warm-up runs, samples, and rounds in which several candidates take turns.

On a machine that also runs other programs only ratios taken in one run mean anything. So all that is compared takes turns, one
sample each in every round, and each round begins with another candidate: a busy minute then slows all of them alike. Raw
samples are returned, and every caller chooses its statistic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from u3p_edge.progress import Step, idle

MINIMUM_ROUNDS = 5
"""Fewer rounds say nothing of a spread, so a time budget never cuts below this number."""

Clock = Callable[[], int]
"""Returns nanoseconds that never decrease."""

FINE = 1e-6
"""The processor-time clock is only used if its resolution is better than this many seconds."""

SampleT = TypeVar("SampleT")
Rounds = Sequence[tuple[SampleT, ...]]
"""The rounds so far: one sample of each candidate in each."""


def processor_clock(threads: int) -> Clock:
    """Return a clock of the processor time of this process for one thread, else of the elapsed time.

    Programs that share a core take turns of some milliseconds. The processor time leaves out those of the others; on a quiet
    machine it is the elapsed time.
    """
    fine = time.get_clock_info("process_time").resolution < FINE
    return time.process_time_ns if threads == 1 and fine else time.perf_counter_ns


def milliseconds(
    call: Callable[[], object], clock: Clock = time.perf_counter_ns, *, repeats: int = 1, warm_up: bool = False
) -> float:
    """Measure the milliseconds of one run of a call.

    Args:
        call: the call.
        clock: the clock.
        repeats: number of consecutive runs that are timed; the result is their mean.
        warm_up: run once before, untimed. This refills the caches and outlasts the threads of the network that ran before,
            which some runtimes keep spinning for a while.
    """
    if warm_up:
        call()
    start = clock()
    for _ in range(repeats):
        call()
    # If the clock is too coarse to see the calls, count 1 ns: zero would make a ratio infinite.
    return max(clock() - start, 1) / 1e6 / repeats


def interleave(
    candidates: Sequence[Callable[[], SampleT]],
    wants_more: Callable[[Rounds[SampleT]], bool],
    *,
    seconds: float = float("inf"),
    clock: Clock = time.perf_counter_ns,
    step: Step = idle,
) -> tuple[tuple[SampleT, ...], ...]:
    """Take samples of several candidates, which take turns; each round begins with another of them.

    Args:
        candidates: functions that take one sample each.
        wants_more: whether another round is due after these rounds.
        seconds: no further round starts after this long, once there are `MINIMUM_ROUNDS`.
        clock: the clock of that budget.
        step: called after each round.

    Returns:
        The samples of each candidate, one a round.
    """
    rounds: list[tuple[SampleT, ...]] = []
    end = clock() + seconds * 1e9
    while wants_more(rounds) and (len(rounds) < MINIMUM_ROUNDS or clock() < end):
        samples = {}
        for turn in range(len(candidates)):
            index = (turn + len(rounds)) % len(candidates)
            samples[index] = candidates[index]()
        rounds.append(tuple(samples[index] for index in range(len(candidates))))
        step()
    return tuple(zip(*rounds, strict=True))
