"""Messages between two cores, and which samples they set apart. No test says how long one takes."""

from __future__ import annotations

import math
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.lib.core_distance import FAR, near, shortest_time, time_messages
from benchmarks.lib.core_distance_echo import SIZE, await_byte
from u3p_edge.benchmark.result import Latency

ALLOWED = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
NEAR_NS, FAR_NS = 110.0, 300.0


@pytest.fixture
def cores(request: pytest.FixtureRequest) -> Iterator[None]:
    """This thread may use so many cores for the time of a test."""
    if len(ALLOWED) < request.param:
        pytest.skip(f"needs Linux and {request.param} cores")
    chosen = set(sorted(ALLOWED)[: request.param])
    os.sched_setaffinity(0, chosen)
    yield
    try:
        assert os.sched_getaffinity(0) == chosen, "whoever times messages leaves the thread where it may run as it was"
    finally:
        os.sched_setaffinity(0, ALLOWED)


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize("cores", [2], indirect=True)
def test_messages_are_timed_between_two_cores() -> None:
    with time_messages(2) as measure:
        assert measure is not None
        took = [measure() for _ in range(3)]
    assert all(math.isfinite(ns) and ns > 0 for ns in took)
    with pytest.raises(ValueError, match="closed"):
        measure()  # the echo and the shared memory are gone


@pytest.mark.usefixtures("cores")
@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (1, 2), (2, 1), (2, 3)], indirect=["cores"])
def test_nothing_is_timed_where_it_says_nothing_of_the_threads(threads: int) -> None:
    with time_messages(threads) as measure:
        assert measure is None


def test_who_waits_for_a_byte_learns_that_the_other_side_is_gone() -> None:
    with mmap.mmap(-1, SIZE) as memory:
        memory[3] = 7
        await_byte(memory, 3, 7, alive=lambda: False)
        with pytest.raises(ChildProcessError, match="ended"):
            await_byte(memory, 3, 8, alive=lambda: False)


def test_the_echo_ends_with_its_input() -> None:
    if not hasattr(os, "memfd_create"):
        pytest.skip("needs Linux")
    shared = os.memfd_create("test")
    os.ftruncate(shared, SIZE)
    command = [sys.executable, "-m", "benchmarks.lib.core_distance_echo", str(shared), str(min(ALLOWED))]
    try:
        done = subprocess.run(command, input="", text=True, pass_fds=(shared,), timeout=60, check=False, capture_output=True)
    finally:
        os.close(shared)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_shortest_message_is_known_if_all_were_timed() -> None:
    one, other = Latency(2, (5.0, 6.0), (FAR_NS, NEAR_NS)), Latency(2, (7.0, 8.0), (FAR_NS, FAR_NS))
    assert shortest_time((one, other)) == NEAR_NS
    assert shortest_time((one, Latency(2, (7.0, 8.0)))) is None
    assert shortest_time(()) is None


def test_samples_whose_cores_shared_a_cache_are_marked() -> None:
    one = Latency(2, (5.0, 6.0, 5.0, 5.0), (NEAR_NS, FAR_NS, NEAR_NS, FAR * NEAR_NS - 1))
    assert near(one, NEAR_NS) == (True, False, True, True)
    # Where all messages take long there is nothing to tell apart.
    assert near(one, FAR_NS) == (True,) * 4
