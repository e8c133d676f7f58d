"""Time processes in interleaved rounds: each runs its network once a round, in its turn, while the others wait for a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from benchmarks.peers.comparison import Timing
from benchmarks.peers.peer import PeerError
from benchmarks.peers.processes import Worker
from u3p_edge.latency.clock import choose_sampling, interleave
from u3p_edge.progress import Step, idle

Key = tuple[str, int]
"""Key of a peer, and a number of threads."""

Sample = tuple[float, float] | PeerError
"""Milliseconds of one run, elapsed and of the processor; or why there are none."""


@dataclass(frozen=True)
class Taken:
    """The timings of those that answered in every round, and why the others did not."""

    timings: Mapping[Key, Timing]
    failed: Mapping[Key, PeerError]


def time_workers(workers: Mapping[Key, Worker], rounds: int, step: Step = idle) -> Taken:
    """Time processes in turns, in the order of `u3p_edge.latency.clock.order_round`.

    A short run is repeated within a sample, and all but long ones run once before it, as `u3p_edge.latency.clock` says. That
    also outlasts the threads of the process before, which some runtimes keep spinning for a while.

    Args:
        workers: the processes.
        rounds: of timing.
        step: called after each round.
    """
    first = {key: ask(worker, repeats=1, warm_up=True) for key, worker in workers.items()}
    failed = {key: sample for key, sample in first.items() if isinstance(sample, PeerError)}
    keys = [key for key in workers if key not in failed]
    samplers = [_sampler(workers[key], sample[0]) for key, sample in first.items() if not isinstance(sample, PeerError)]
    samples = interleave(samplers, lambda done: len(done) < rounds, step=step).samples
    timings = {}
    for key, column in zip(keys, samples, strict=True):
        good = [sample for sample in column if not isinstance(sample, PeerError)]
        if len(good) == len(column):
            timings[key] = Timing(key[1], *zip(*good, strict=True))
        else:
            failed[key] = next(sample for sample in column if isinstance(sample, PeerError))
    return Taken(timings, failed)


def ask(worker: Worker, repeats: int, warm_up: bool) -> Sample:
    """Return one sample of a process, or why it gives none."""
    try:
        answer = worker.request(repeats=repeats, warm_up=warm_up)
    except PeerError as error:
        return error
    return answer["elapsed_ms"], answer["processor_ms"]


def _sampler(worker: Worker, rough_ms: float) -> Callable[[], Sample]:
    return partial(ask, worker, *choose_sampling(rough_ms))
