"""Latency of several sessions side by side, in interleaved rounds, so that a busy or throttled minute affects all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from u3p_edge.benchmark.core_distance import time_messages
from u3p_edge.benchmark.result import Latency
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.progress import Step, idle
from u3p_edge.runtime.base import FloatArray, Session

CHECKED = 10
"""Rounds between two checks of how certain the ratios are."""

MINIMUM_ROUNDS = 5
"""Fewer rounds say nothing of a spread, so a time budget never cuts below this number."""


@dataclass(frozen=True)
class Samples:
    """The samples of one session, one per round.

    Args:
        ms: milliseconds of each sample.
        beside: the greater of the two values that were read right before and right after each sample.
    """

    ms: tuple[float, ...]
    beside: tuple[float, ...]


def interleave(
    sessions: Sequence[Session],
    image: FloatArray,
    *,
    rounds: int,
    warmup: int = 2,
    seconds: float = float("inf"),
    until: float | None = None,
    reference: int = 0,
    step: Step = idle,
    beside: Callable[[], float] = lambda: 0.0,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> tuple[Samples, ...]:
    """Measure the milliseconds of the network alone, one sample per round for each session.

    In each round every session runs twice in a row and the second run is the sample. The first run refills the caches and
    outlasts the threads of the previous session, which some runtimes keep spinning for a while. The order shifts by one session
    each round.

    Args:
        sessions: sessions that all take images of the same shape.
        image: float32 [H, W, C].
        rounds: number of rounds at most; with `until`, at least.
        warmup: warm-up rounds, which are discarded.
        seconds: no further round starts after this long, once there are `MINIMUM_ROUNDS`.
        until: continue after `rounds` until the uncertainty of every session's ratio to the reference is at most this (see
            `Interval.uncertainty`). The width of the intervals stops it and not their position, so the number of rounds does
            not favour a result (Chow and Robbins 1965).
        reference: index of the session that ratios refer to.
        step: called after each round.
        beside: reads a value to store with each sample; called before the first run of a pair and after the second.
        clock: returns nanoseconds that never decrease.
    """
    calls = [session.prepare(image) for session in sessions]
    for _ in range(warmup):
        for call in calls:
            call()
    kept: list[tuple[tuple[float, float], ...]] = []
    begin = clock()
    while _wants_more(kept, rounds, until, reference) and (len(kept) < MINIMUM_ROUNDS or clock() - begin < seconds * 1e9):
        kept.append(_round(calls, len(kept), beside, clock))
        step()
    return tuple(Samples(*zip(*own, strict=True)) for own in zip(*kept, strict=True))


def latencies(
    sessions: Sequence[Session],
    image: FloatArray,
    threads: int,
    *,
    rounds: int,
    warmup: int = 2,
    seconds: float = float("inf"),
    until: float | None = None,
    reference: int = 0,
    step: Step = idle,
) -> tuple[Latency, ...]:
    """Run `interleave` on sessions with that number of threads, and measure the core-to-core latency with each sample."""
    with time_messages(threads) as handoff:
        beside = handoff or (lambda: 0.0)
        samples = interleave(
            sessions,
            image,
            rounds=rounds,
            warmup=warmup,
            seconds=seconds,
            until=until,
            reference=reference,
            step=step,
            beside=beside,
        )
    return tuple(Latency(threads, own.ms, own.beside if handoff else ()) for own in samples)


def _wants_more(kept: Sequence[tuple[tuple[float, float], ...]], rounds: int, until: float | None, reference: int) -> bool:
    """Return whether another round is due. Intervals are checked every `CHECKED` rounds, as a check takes milliseconds."""
    count = len(kept)
    if count < rounds or until is None:
        return count < rounds
    if (count - rounds) % CHECKED:
        return True
    other = [taken[reference][0] for taken in kept]
    ratios = (ratio([taken[i][0] for taken in kept], other) for i in range(len(kept[0])) if i != reference)
    return any(found.uncertainty > until for found in ratios)


def _round(
    calls: Sequence[Callable[[], None]], number: int, beside: Callable[[], float], clock: Callable[[], int]
) -> tuple[tuple[float, float], ...]:
    """Take one sample of each call and the value read with it, in the order of `calls`."""
    samples = [(0.0, 0.0)] * len(calls)
    for turn in range(len(calls)):
        which = (turn + number) % len(calls)
        before = beside()
        calls[which]()
        begin = clock()
        calls[which]()
        # If the clock is too coarse to see the call, count 1 ns: zero would make a ratio infinite.
        took = max(clock() - begin, 1) / 1e6
        samples[which] = took, max(before, beside())
    return tuple(samples)
