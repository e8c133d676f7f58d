"""The one clock of this package: warm-up runs, samples, and rounds in which several candidates take turns.

On a machine that also runs other programs only ratios taken in one run mean anything. So all that is compared takes turns, one
sample each in every round. Every second round repeats the one before it backwards (A B, then B A), so that what drifts slows
all candidates alike, and each pair of rounds begins with another candidate. Raw samples are returned, and every caller chooses
its statistic.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from u3p_edge.progress import Step, idle

MINIMUM_ROUNDS = 5
"""Fewer rounds say nothing of a spread, so a time budget never cuts below this number."""

Clock = Callable[[], int]
"""Returns nanoseconds that never decrease."""

FINE = 1e-6
"""The processor-time clock is only used if its resolution is better than this many seconds."""

SAMPLE_MS = 2.0
"""About the least duration of a sample: a shorter call is run several times for one sample."""

LONG_MS = 20.0
"""A call that takes this long or longer needs no warm-up run before a sample: cold caches no longer matter."""

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


def make_sampler(call: Callable[[], object], rough_ms: float, clock: Clock = time.perf_counter_ns) -> Callable[[], float]:
    """Return a function that takes one sample of a call, in milliseconds of one run; see `SAMPLE_MS` and `LONG_MS`.

    Args:
        call: the call.
        rough_ms: about how many milliseconds it takes.
        clock: the clock.
    """
    repeats, warm_up = choose_sampling(rough_ms)
    return partial(milliseconds, call, clock, repeats=repeats, warm_up=warm_up)


def choose_sampling(rough_ms: float) -> tuple[int, bool]:
    """Return how often a call of so many milliseconds is run for one sample, and whether it is run once before, untimed.

    >>> choose_sampling(0.5), choose_sampling(30.0)
    ((4, True), (1, False))
    """
    return max(1, round(SAMPLE_MS / rough_ms)), rough_ms < LONG_MS


@dataclass(frozen=True)
class Interleaved(Generic[SampleT]):
    """What `interleave` took.

    Args:
        samples: the samples of each candidate, one a round.
        in_time: whether it ended because no more rounds were wanted; False where the time was up before.
    """

    samples: tuple[tuple[SampleT, ...], ...]
    in_time: bool


def interleave(
    candidates: Sequence[Callable[[], SampleT]],
    wants_more: Callable[[Rounds[SampleT]], bool],
    *,
    seconds: float = float("inf"),
    clock: Clock = time.perf_counter_ns,
    step: Step = idle,
) -> Interleaved[SampleT]:
    """Take samples of several candidates, which take turns in the order of `order_round`.

    Args:
        candidates: functions that take one sample each.
        wants_more: whether another round is due after these rounds.
        seconds: no further round starts after this long, once there are `MINIMUM_ROUNDS`.
        clock: the clock of that budget.
        step: called after each round.
    """
    rounds: list[tuple[SampleT, ...]] = []
    end = clock() + seconds * 1e9
    in_time = True
    while wants_more(rounds):
        if len(rounds) >= MINIMUM_ROUNDS and clock() >= end:
            in_time = False
            break
        samples = {index: candidates[index]() for index in order_round(len(rounds), len(candidates))}
        rounds.append(tuple(samples[index] for index in range(len(candidates))))
        step()
    return Interleaved(tuple(zip(*rounds, strict=True)), in_time)


def order_round(number: int, count: int) -> tuple[int, ...]:
    """Return the order in which `count` candidates take their turns in a round.

    >>> [order_round(number, 3) for number in range(6)]
    [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 2, 1), (2, 0, 1), (1, 0, 2)]
    """
    forward = tuple((turn + number // 2) % count for turn in range(count))
    return forward[::-1] if number % 2 else forward
