"""Latency of several sessions side by side, in interleaved rounds, so that a busy or throttled minute affects all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from u3p_edge.benchmark.conditions import Conditions, Ended, describe_conditions, read_machine_times
from u3p_edge.benchmark.result import Latency
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.latency.clock import Clock, Rounds, interleave, make_sampler, milliseconds
from u3p_edge.progress import Step, idle
from u3p_edge.runtime.base import FloatArray, Session

CHECKED = 10
"""Rounds between two checks of how certain the ratios are, as a check takes milliseconds."""

TimedSample = tuple[float, float]
"""Milliseconds of a sample, and the covariate read with it."""


@dataclass(frozen=True)
class TimedSessions:
    """The latency of each session, and under which conditions the rounds were taken."""

    latencies: tuple[Latency, ...]
    conditions: Conditions


def time_sessions(
    sessions: Sequence[Session],
    image: FloatArray,
    threads: int,
    *,
    rounds: int,
    warmup: int = 2,
    seconds: float = float("inf"),
    precision: float | None = None,
    reference: int = 0,
    step: Step = idle,
    covariate: Callable[[], float] | None = None,
    clock: Clock = time.perf_counter_ns,
) -> TimedSessions:
    """Measure the milliseconds of the network alone, one sample per round for each session.

    The warm-up rounds tell about how long each session takes, and `clock.make_sampler` how it is sampled: a short one runs
    several times for a sample, and all but long ones run once before it, untimed. Without warm-up rounds each runs twice in a
    row, and the second run is the sample.

    Args:
        sessions: sessions that all take images of the same shape.
        image: float32 [H, W, C].
        threads: number of threads of the sessions, for the record.
        rounds: number of rounds at most; with `precision`, at least.
        warmup: warm-up rounds, which are discarded.
        seconds: no further round starts after this long, once there are `MINIMUM_ROUNDS`.
        precision: continue after `rounds` until the uncertainty of every session's ratio to the reference is at most this (see
            `Interval.uncertainty`). The width of the intervals stops it and not their position, so the number of rounds does
            not favour a result (Chow and Robbins 1965).
        reference: index of the session that ratios refer to.
        step: called after each round.
        covariate: reads a value that may explain a sample; it is read before the first run of a pair and after the second,
            and the greater of the two is stored with the sample.
        clock: see `Clock`.
    """
    before = read_machine_times()
    calls = [session.prepare(image) for session in sessions]
    samplers = _make_samplers(calls, warmup, clock)
    taken = interleave(
        [partial(_sample, sampler, covariate) for sampler in samplers],
        lambda done: _wants_more(done, rounds, precision, reference),
        seconds=seconds,
        clock=clock,
        step=step,
    )
    ended: Ended = "time" if not taken.in_time else "rounds" if precision is None else "precision"
    pairs = [tuple(zip(*samples, strict=True)) for samples in taken.samples]
    latencies = tuple(Latency(threads, ms, beside if covariate else ()) for ms, beside in pairs)
    return TimedSessions(latencies, describe_conditions(before, read_machine_times(), threads, ended))


def _make_samplers(calls: Sequence[Callable[[], None]], warmup: int, clock: Clock) -> list[Callable[[], float]]:
    """Run the warm-up rounds, and return what takes a sample of each call."""
    rounds = [[milliseconds(call, clock) for call in calls] for _ in range(warmup)]
    if not rounds:
        return [partial(milliseconds, call, clock, warm_up=True) for call in calls]
    rough = (min(samples) for samples in zip(*rounds, strict=True))
    return [make_sampler(call, ms, clock) for call, ms in zip(calls, rough, strict=True)]


def _sample(sampler: Callable[[], float], covariate: Callable[[], float] | None) -> TimedSample:
    read = covariate or (lambda: 0.0)
    before = read()
    ms = sampler()
    return ms, max(before, read())


def _wants_more(done: Rounds[TimedSample], rounds: int, precision: float | None, reference: int) -> bool:
    """Return whether another round is due, apart from the time budget."""
    count = len(done)
    if count < rounds or precision is None:
        return count < rounds
    if (count - rounds) % CHECKED:
        return True
    ms = [[sample[0] for sample in samples] for samples in zip(*done, strict=True)]
    ratios = (ratio(samples, ms[reference]) for i, samples in enumerate(ms) if i != reference)
    return any(interval.uncertainty > precision for interval in ratios)
