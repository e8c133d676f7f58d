"""Latency of small graphs in a runtime, measured by running them.

The graphs of one call compute the same result in different ways. On a machine that also runs other programs, only ratios taken
in one run mean anything. So the graphs are timed side by side. First each runs alone, once or twice, to see which are close to
the fastest. Those then take turns, round after round, and each gets the median of its rounds, rounded to what they resolve. A
graph that takes twice the fastest's time or more keeps its first figure: however long it were timed, it would not be selected.
Only the graphs close to the fastest are held in memory together.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.errors import ConfigError
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.clock import LONG_MS, Clock, interleave, make_sampler, milliseconds, processor_clock
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.latency.resolution import round_resolved
from u3p_edge.latency.substitutes import make_timeable
from u3p_edge.runtime.packages import installed_version
from u3p_edge.runtime.tflite_raw import open_raw

NUMBERS = ("int8", "float32")
PACKAGES = {"tflite": "ai-edge-litert"}
"""Runtimes that a graph can be timed in, and the package of each."""

MAXIMUM_ROUNDS = 25
SECONDS = 0.4
"""Time budget for the rounds, per graph; see `interleave`."""

NEAR = 2.0
"""A graph that takes at least this many times the fastest graph's time is not timed any further."""

Statistic = Callable[[Sequence[float]], float]
Summarise = Callable[[Sequence[Sequence[float]]], Sequence[float]]
"""A function from the samples of each file to its milliseconds."""


@dataclass(frozen=True)
class Target:
    """What graphs are timed in: number type, threads and runtime.

    Args:
        number: number type of the arithmetic, "int8" or "float32".
        threads: at least 1.
        runtime: a key of `PACKAGES`.

    Raises:
        ConfigError: a value is not allowed.
    """

    number: str = "int8"
    threads: int = 1
    runtime: str = "tflite"

    def __post_init__(self) -> None:
        for what, value, known in (("number type", self.number, NUMBERS), ("runtime", self.runtime, tuple(PACKAGES))):
            if value not in known:
                raise ConfigError(f"graphs cannot be timed in the {what} {value!r}", mend=f"Use {' or '.join(known)}.")
        if self.threads < 1:
            raise ConfigError(f"{self.threads} threads cannot run a model", mend="Use 1 or more.")

    @property
    def version(self) -> str:
        """Version of the runtime's package; empty if it is not installed."""
        return installed_version(PACKAGES[self.runtime])


def measure_graphs(graphs: Sequence[Graph], target: Target) -> tuple[float, ...]:
    """Measure the milliseconds of one run of each graph, all timed side by side and rounded to what the rounds resolve.

    Graphs that are as fast as the first, as far as the rounds show, have its time (`resolution.round_resolved`).

    Args:
        graphs: float32, batch normalisation folded, with any inputs and outputs. For int8 they are timed as dummy quantized
            networks, see `make_dummy_quantized`.
        target: what to time them in.

    Raises:
        ModelError: a graph that has no form in the runtime.
        MissingPackageError: the runtime is not installed.
    """
    files = [to_file(graph, target.number) for graph in graphs]
    return _time_side_by_side(files, target.threads, round_resolved)


def to_file(graph: Graph, number: str) -> bytes:
    """Return a TFLite file that takes as long to run as the graph in that number type."""
    known = make_timeable(graph)
    if number == "float32":
        return write_tflite(known)
    made = make_dummy_quantized(known)
    return write_tflite(made)


def time_files(files: Sequence[bytes], threads: int, statistic: Statistic = median) -> tuple[float, ...]:
    """Measure the milliseconds of one run of each TFLite file, all timed side by side. Raises as `measure_graphs` does."""
    return _time_side_by_side(files, threads, lambda samples: [statistic(each) for each in samples])


def _time_side_by_side(files: Sequence[bytes], threads: int, summarise: Summarise) -> tuple[float, ...]:
    clock = processor_clock(threads)
    rough: list[float] = []
    for file in files:
        rough.append(_rough(open_raw(file, threads).run, min(rough, default=math.inf), clock))
    close = [index for index, ms in enumerate(rough) if ms < NEAR * min(rough)]
    models = [open_raw(files[index], threads) for index in close]
    samples = time_calls([model.run for model in models], [rough[index] for index in close], clock)
    timed = dict(zip(close, summarise(samples), strict=True))
    return tuple(timed.get(index, ms) for index, ms in enumerate(rough))


def time_calls(
    calls: Sequence[Callable[[], None]], rough: Sequence[float], clock: Clock = time.perf_counter_ns
) -> tuple[tuple[float, ...], ...]:
    """Measure the milliseconds of each call in interleaved rounds: one sample per round, of one or more runs.

    Args:
        calls: the calls to time, at least one.
        rough: about how many milliseconds each call takes.
        clock: see `Clock`.
    """
    for call, ms in zip(calls, rough, strict=True):
        if ms < LONG_MS:
            call()
    samplers = [make_sampler(call, ms, clock) for call, ms in zip(calls, rough, strict=True)]
    budget = SECONDS * len(calls)
    return interleave(samplers, lambda done: len(done) < MAXIMUM_ROUNDS, seconds=budget, clock=clock).samples


def _rough(call: Callable[[], None], best: float, clock: Clock) -> float:
    """Return the shorter of two runs, as the first also touches all memory for the first time; the first alone if too slow."""
    first = milliseconds(call, clock)
    return first if first > 2 * NEAR * best else min(first, milliseconds(call, clock))
