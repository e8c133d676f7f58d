"""Interleaved rounds, checked with a clock of our own; no test looks at real time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from tests.support.small_artifacts import Zoo, picture
from u3p_edge.benchmark.result import Latency
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.benchmark.timing import CHECKED, time_sessions
from u3p_edge.latency.clock import MINIMUM_ROUNDS
from u3p_edge.runtime import open_session
from u3p_edge.runtime.base import FloatArray, Session


@dataclass
class Clock:
    """Stands still until a session works."""

    now: int = 0

    def __call__(self) -> int:
        return self.now


@dataclass
class Worker:
    """A session that takes a known time and writes down when it was called."""

    clock: Clock
    milliseconds: list[float]
    log: list[str]
    name: str
    calls: int = field(default=0)

    def prepare(self, image: FloatArray) -> Callable[[], None]:
        assert image is IMAGE

        def invoke() -> None:
            self.clock.now += round(1e6 * self.milliseconds[self.calls % len(self.milliseconds)])
            self.calls += 1
            self.log.append(self.name)

        return invoke


def workers(clock: Clock, log: list[str], **milliseconds: list[float]) -> list[Session]:
    """Of a session, only what is timed."""
    return [cast(Session, Worker(clock, ms, log, name)) for name, ms in milliseconds.items()]


IMAGE = np.zeros((16, 16, 1), np.float32)


def time_latencies(*arguments: Any, **options: Any) -> tuple[Latency, ...]:
    """What `time_sessions` gives, without the conditions."""
    return time_sessions(*arguments, **options).latencies


def test_the_second_run_of_a_pair_is_the_sample() -> None:
    clock = Clock()
    sessions = workers(clock, [], a=[9.0, 1.0], b=[7.0, 2.0])
    actual = time_latencies(sessions, IMAGE, 1, rounds=5, warmup=0, clock=clock)
    assert [samples.samples_ms for samples in actual] == [(1.0,) * 5, (2.0,) * 5]
    assert [samples.covariate for samples in actual] == [(), ()]


def test_what_is_read_beside_a_sample_is_the_greater_of_before_and_after() -> None:
    clock = Clock()
    log: list[str] = []
    readings = iter([1.0, 5.0, 4.0, 3.0] + 16 * [2.0])

    def read() -> float:
        log.append("?")
        clock.now += 10**9  # is not timed
        return next(readings)

    actual = time_latencies(workers(clock, log, a=[10], b=[10]), IMAGE, 1, rounds=5, warmup=1, clock=clock, covariate=read)
    assert "".join(log).startswith("ab" + "?aa??bb?" + "?bb??aa?")
    assert [samples.covariate for samples in actual] == [(5.0, *4 * [2.0]), (4.0, *4 * [2.0])]
    assert [samples.samples_ms for samples in actual] == [(10.0,) * 5] * 2


def test_warm_up_rounds_tell_how_a_session_is_sampled() -> None:
    clock = Clock()
    log: list[str] = []
    sessions = workers(clock, log, a=[0.5], b=[30.0])
    actual = time_latencies(sessions, IMAGE, 1, rounds=5, warmup=1, clock=clock)
    # Four runs of half a millisecond make a sample, after one that is not timed; 30 ms need none before.
    assert "".join(log) == "ab" + "aaaaab" + "baaaaa" + "baaaaa" + "aaaaab" + "aaaaab"
    assert [samples.samples_ms for samples in actual] == [(0.5,) * 5, (30.0,) * 5]


def test_every_second_round_runs_backwards_and_the_first_one_moves_on() -> None:
    clock = Clock()
    log: list[str] = []
    time_latencies(workers(clock, log, a=[10], b=[10], c=[10]), IMAGE, 1, rounds=5, warmup=1, clock=clock)
    assert "".join(log) == "abc" + "aabbcc" + "ccbbaa" + "bbccaa" + "aaccbb" + "ccaabb"


def test_a_budget_ends_it_but_not_before_there_is_a_spread() -> None:
    clock = Clock()
    steps: list[int] = []
    sessions = workers(clock, [], a=[500.0])
    # A round is two calls of half a second.
    assert len(time_latencies(sessions, IMAGE, 1, rounds=100, warmup=0, seconds=8, clock=clock)[0].samples_ms) == 8
    assert len(time_latencies(sessions, IMAGE, 1, rounds=100, warmup=0, seconds=0, clock=clock)[0].samples_ms) == MINIMUM_ROUNDS
    time_latencies(sessions, IMAGE, 1, rounds=6, clock=clock, step=lambda *_: steps.append(1))
    assert len(steps) == 6


def test_a_clock_that_stands_still_gives_no_zero() -> None:
    clock = Clock()
    assert min(time_latencies(workers(clock, [], a=[0.0]), IMAGE, 1, rounds=5, clock=clock)[0].samples_ms) > 0


@pytest.mark.parametrize("threads", [1, 2])
def test_real_sessions_are_timed(zoo: Zoo, threads: int) -> None:
    sessions = [open_session(zoo.path(kind), threads) for kind in ("float32.tflite", "int8.tflite", "int8.onnx")]
    actual = time_latencies(sessions, picture(), threads, rounds=5)
    assert [len(samples.samples_ms) for samples in actual] == [5, 5, 5]
    assert all(sample > 0 for samples in actual for sample in samples.samples_ms)


def noisy(spread: float, seed: int, count: int = 4000) -> list[float]:
    """Milliseconds around 10, each twice: a session runs twice for a sample."""
    return [float(ms) for ms in np.random.default_rng(seed).lognormal(np.log(10), spread, count).repeat(2)]


@pytest.mark.parametrize(("spread", "precision"), [(0.05, 0.02), (0.2, 0.05)])
def test_rounds_go_on_until_the_ratio_is_certain(spread: float, precision: float) -> None:
    clock = Clock()
    sessions = workers(clock, [], a=noisy(spread, 1), b=noisy(spread, 2), c=noisy(spread, 3))
    actual = time_latencies(sessions, IMAGE, 1, rounds=10, warmup=0, precision=precision, reference=1, clock=clock)
    rounds = len(actual[0].samples_ms)
    assert rounds > 10
    assert all(ratio(actual[i].samples_ms, actual[1].samples_ms).uncertainty <= precision for i in (0, 2))
    # One look before, at least one of the two was not certain.
    before = [
        ratio(actual[i].samples_ms[: rounds - CHECKED], actual[1].samples_ms[: rounds - CHECKED]).uncertainty for i in (0, 2)
    ]
    assert max(before) > precision


def test_rounds_end_with_the_time_though_nothing_is_certain() -> None:
    clock = Clock()
    sessions = workers(clock, [], a=noisy(0.5, 1), b=noisy(0.5, 2))
    actual = time_latencies(sessions, IMAGE, 1, rounds=10, warmup=0, precision=1e-4, seconds=2.0, clock=clock)
    # Both sessions run twice a round, some 10 ms a run: about 50 rounds.
    assert 30 < len(actual[0].samples_ms) < 70


def test_what_is_certain_takes_no_more_rounds_than_asked_for() -> None:
    clock = Clock()
    sessions = workers(clock, [], a=[10.0], b=[20.0])
    assert len(time_latencies(sessions, IMAGE, 1, rounds=12, warmup=0, precision=0.01, clock=clock)[0].samples_ms) == 12


@pytest.mark.parametrize(
    ("options", "ended"),
    [
        ({"rounds": 6}, "rounds"),
        ({"rounds": 6, "precision": 0.01}, "precision"),
        ({"rounds": 100, "precision": 1e-9, "seconds": 0.2}, "time"),
        ({"rounds": 100, "seconds": 0.2}, "time"),
    ],
)
def test_what_ended_the_rounds_is_said(options: dict[str, Any], ended: str) -> None:
    clock = Clock()
    times = {"a": [10.0], "b": noisy(0.2, 1)} if options.get("precision") == 1e-9 else {"a": [10.0], "b": [20.0]}
    timed = time_sessions(workers(clock, [], **times), IMAGE, 1, warmup=0, clock=clock, **options)
    assert (timed.conditions.threads, timed.conditions.ended) == (1, ended)
