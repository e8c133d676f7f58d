"""Core-to-core latency: how long a byte takes from one core to another. It shows whether the two share a cache.

Two threads pass every map of a network between the cores they run on. A virtual machine's two cores may share a cache in one
minute and lie in two parts of the processor in the next. The host decides that, and the guest cannot see it. Code bound by
arithmetic hardly slows down, but code that moves data does: a message was seen to take six times as long, and a network of many
small operators a fifth longer. So the core-to-core latency is the covariate of every sample with two threads.

A separate process echoes what this one writes into shared memory. Python itself is part of each message, some 100 ns, so only
large differences mean anything: see `FAR`.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.lib.core_distance_echo import BATCH, PATIENCE, SIZE, await_byte
from u3p_edge.benchmark.environment import available_cores
from u3p_edge.benchmark.result import Latency

MESSAGES = 20 * BATCH
"""Round trips in each measurement, about a millisecond together."""

FAR = 2.0
"""Cores share no cache if their messages take at least this many times the shortest of a run. On an AMD EPYC a message takes
107 to 156 ns between cores that share one, and 296 to 335 ns between others."""

REPOSITORY = Path(__file__).resolve().parents[2]

CoreDistance = Callable[[], float]
"""Measures the core-to-core latency: nanoseconds of a message one way."""


@contextlib.contextmanager
def time_messages(threads: int) -> Iterator[CoreDistance | None]:
    """Give a function that measures the core-to-core latency of this process's two cores; None if it would mean nothing.

    It is meaningful for a network at `threads` threads only if those are two and the process may use exactly two cores. Only
    Linux can pin a thread to a core.
    """
    if threads != 2 or available_cores() != 2 or not sys.platform.startswith("linux"):
        yield None
        return
    this, other = sorted(os.sched_getaffinity(0))
    shared = os.memfd_create("u3p_edge_cores")
    try:
        os.ftruncate(shared, SIZE)
        with mmap.mmap(shared, SIZE) as memory, _echo(shared, other) as echo:
            yield lambda: _measure(memory, echo, this)
    finally:
        os.close(shared)


def shortest_time(latencies: Sequence[Latency]) -> float | None:
    """Return the shortest core-to-core latency of all samples; None unless it was measured for all of them."""
    if not latencies or not all(entry.covariate for entry in latencies):
        return None
    return min(min(entry.covariate) for entry in latencies)


def near(latency: Latency, shortest: float) -> tuple[bool, ...]:
    """Return for each sample whether the two cores shared a cache, given that they did during the shortest message."""
    return tuple(took < FAR * shortest for took in latency.covariate)


@contextlib.contextmanager
def _echo(shared: int, core: int) -> Iterator[subprocess.Popen[str]]:
    # A new session: Ctrl-C is for this process only, and the echo ends when its input ends.
    echo = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.lib.core_distance_echo", str(shared), str(core)],
        stdin=subprocess.PIPE,
        text=True,
        pass_fds=(shared,),
        start_new_session=True,
        cwd=REPOSITORY,
    )
    try:
        yield echo
    finally:
        with contextlib.suppress(BrokenPipeError):
            echo.communicate()


def _measure(memory: mmap.mmap, echo: subprocess.Popen[str], core: int) -> float:
    """Return the core-to-core latency of the fastest batch: other programs can only add time."""
    if echo.stdin is None:
        raise ValueError("the echo has no input")
    allowed = os.sched_getaffinity(0)
    memory[0] = memory[SIZE // 2] = 0
    echo.stdin.write(f"{MESSAGES}\n")
    echo.stdin.flush()
    batches, patience, middle = [], range(PATIENCE), SIZE // 2
    os.sched_setaffinity(0, {core})
    try:
        start = time.perf_counter_ns()
        for count in range(1, MESSAGES + 1):
            memory[0] = value = 1 + count % BATCH
            for _ in patience:
                if memory[middle] == value:
                    break
            else:
                await_byte(memory, middle, value, lambda: echo.poll() is None)
            if value == BATCH:
                now = time.perf_counter_ns()
                batches.append((now - start) / BATCH / 2)
                start = now
    finally:
        os.sched_setaffinity(0, allowed)
    return min(batches)
