"""Latency of several sessions side by side: interleaved rounds, so that a busy or throttled minute hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from u3p_edge.benchmark.core_distance import time_messages
from u3p_edge.benchmark.result import Latency
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.runtime.base import FloatArray, Session

CHECKED = 10
"""Rounds between two looks at how certain the ratios are."""

MINIMUM_ROUNDS = 5
"""Fewer say nothing of a spread; a budget of seconds never cuts below this."""


@dataclass(frozen=True)
class Samples:
    """Of one session, one a round.

    Args:
        ms: milliseconds.
        beside: the greater of what was read right before and right after.
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
    advance: Callable[[], object] = lambda: None,
    beside: Callable[[], float] = lambda: 0.0,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> tuple[Samples, ...]:
    """Milliseconds of the network alone, for each session one sample a round.

    In each round every session runs twice in a row and the second run is the sample: the first one refills the caches
    and outlasts the threads of the session before, which some runtimes keep spinning for a while. The order moves on
    by one session each round.

    Args:
        sessions: all for images of one shape.
        image: float32 [H, W, C].
        rounds: how many at most; with `until`, at least.
        warmup: rounds beforehand that are not kept.
        seconds: no further round starts after this long, once there are `MINIMUM_ROUNDS`.
        until: go on after `rounds` until every session's ratio to the reference is as certain as this (see
            `Interval.uncertainty`). What stops it is the width of the intervals and not where they lie, so the rounds taken do
            not favour a result (Chow and Robbins 1965).
        reference: place of the session that ratios refer to.
        advance: called after each round.
        beside: reads what a sample should be seen with; called before the first run of a pair and after the second.
        clock: in nanoseconds, rising.
    """
    calls = [session.prepare(image) for session in sessions]
    for _ in range(warmup):
        for call in calls:
            call()
    kept: list[tuple[tuple[float, float], ...]] = []
    begin = clock()
    while _wants_more(kept, rounds, until, reference) and (len(kept) < MINIMUM_ROUNDS or clock() - begin < seconds * 1e9):
        kept.append(_round(calls, len(kept), beside, clock))
        advance()
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
    advance: Callable[[], object] = lambda: None,
) -> tuple[Latency, ...]:
    """`interleave` of sessions that use so many threads, with the messages between two cores beside each sample."""
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
            advance=advance,
            beside=beside,
        )
    return tuple(Latency(threads, own.ms, own.beside if handoff else ()) for own in samples)


def _wants_more(kept: Sequence[tuple[tuple[float, float], ...]], rounds: int, until: float | None, reference: int) -> bool:
    """Whether another round is due; the intervals are looked at once in `CHECKED` rounds, as each look takes milliseconds."""
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
    """One sample of each call and what was read beside it, in the order of `calls`."""
    samples = [(0.0, 0.0)] * len(calls)
    for turn in range(len(calls)):
        which = (turn + number) % len(calls)
        before = beside()
        calls[which]()
        begin = clock()
        calls[which]()
        # A clock too coarse to see the call says one tick; zero would make a ratio infinite.
        took = max(clock() - begin, 1) / 1e6
        samples[which] = took, max(before, beside())
    return tuple(samples)
