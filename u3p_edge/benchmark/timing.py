"""Latency of several sessions side by side: interleaved rounds, so that a busy or throttled minute hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from u3p_edge.runtime.base import FloatArray, Session

MINIMUM_ROUNDS = 5
"""Fewer say nothing of a spread; a budget of seconds never cuts below this."""


def interleave(
    sessions: Sequence[Session],
    image: FloatArray,
    *,
    rounds: int,
    warmup: int = 2,
    seconds: float = float("inf"),
    advance: Callable[[], object] = lambda: None,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> tuple[tuple[float, ...], ...]:
    """Milliseconds of the network alone, for each session one sample a round.

    In each round every session runs twice in a row and the second run is the sample: the first one refills the caches
    and outlasts the threads of the session before, which some runtimes keep spinning for a while. The order moves on
    by one session each round.

    Args:
        sessions: all for images of one shape.
        image: float32 [H, W, C].
        rounds: how many at most.
        warmup: rounds beforehand that are not kept.
        seconds: no further round starts after this long, once there are `MINIMUM_ROUNDS`.
        advance: called after each round.
        clock: in nanoseconds, rising.
    """
    calls = [session.prepare(image) for session in sessions]
    for _ in range(warmup):
        for call in calls:
            call()
    kept: list[tuple[float, ...]] = []
    begin = clock()
    while len(kept) < rounds and (len(kept) < MINIMUM_ROUNDS or clock() - begin < seconds * 1e9):
        kept.append(_round(calls, len(kept), clock))
        advance()
    return tuple(zip(*kept, strict=True))


def _round(calls: Sequence[Callable[[], None]], number: int, clock: Callable[[], int]) -> tuple[float, ...]:
    """One sample of each call, in the order of `calls`."""
    samples = [0.0] * len(calls)
    for turn in range(len(calls)):
        which = (turn + number) % len(calls)
        calls[which]()
        begin = clock()
        calls[which]()
        # A clock too coarse to see the call says one tick; zero would make a ratio infinite.
        samples[which] = max(clock() - begin, 1) / 1e6
    return tuple(samples)
