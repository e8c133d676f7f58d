"""Energy of one image, by the counters of the processor (RAPL), where the system lets this process read them.

A counter covers a whole package: its cores, caches and whatever else runs there. So the machine should be idle otherwise.
(Linux power capping framework, Documentation/power/powercap/powercap.rst.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from u3p_edge.errors import ConfigError
from u3p_edge.latency.clock import interleave
from u3p_edge.progress import Step, idle

ROOT = Path("/sys/class/powercap")
ENERGY_ROUNDS = 6
SECONDS = 0.5
"""Least duration of a sample: counters are updated about every millisecond."""


@dataclass(frozen=True)
class Energy:
    """Energy of the processor packages for one image.

    Args:
        joules: one sample a round; rounds of all files are interleaved.
        threads: number of threads of the runtime.
    """

    joules: tuple[float, ...]
    threads: int

    def __post_init__(self) -> None:
        if not self.joules or not all(math.isfinite(j) and j >= 0 for j in self.joules):
            raise ConfigError("an energy must have samples, all from 0 joules on")


@dataclass(frozen=True)
class EnergyCounter:
    """One counter of a processor package.

    Args:
        path: the file with its microjoules.
        wraps: microjoules at which it starts from 0 again.
    """

    path: Path
    wraps: int

    def read(self) -> int:
        """Return the microjoules of this moment. Raises OSError."""
        return int(self.path.read_text(encoding="ascii"))


def find_counters(root: Path = ROOT) -> tuple[EnergyCounter, ...]:
    """Return the counters of all packages; empty if there is none, or this process must not read one of them."""
    counters = []
    # intel-rapl:0 is a package (on AMD too), intel-rapl:0:1 a part of it.
    for folder in sorted(root.glob("intel-rapl:*")):
        if folder.name.count(":") > 1:
            continue
        try:
            counter = EnergyCounter(folder / "energy_uj", int((folder / "max_energy_range_uj").read_text(encoding="ascii")))
            counter.read()
        except (OSError, ValueError):
            return ()
        counters.append(counter)
    return tuple(counters)


def measure_energy(
    calls: Sequence[Callable[[], object]],
    counters: Sequence[EnergyCounter],
    threads: int,
    *,
    rounds: int = ENERGY_ROUNDS,
    seconds: float = SECONDS,
    step: Step = idle,
) -> tuple[Energy, ...]:
    """Measure the energy of each call, in interleaved rounds.

    Args:
        calls: each runs a network once.
        counters: of `find_counters`, at least one.
        threads: number of threads, for the record.
        rounds: samples of each call.
        seconds: least duration of a sample.
        step: called after each round.

    Raises:
        OSError: a counter can no longer be read.
    """
    samplers = [partial(_sample, call, counters, seconds) for call in calls]
    taken = interleave(samplers, lambda done: len(done) < rounds, step=step)
    return tuple(Energy(samples, threads) for samples in taken.samples)


def _sample(call: Callable[[], object], counters: Sequence[EnergyCounter], seconds: float) -> float:
    """Return the joules of one run, on average over the runs of at least so many seconds."""
    call()
    before, end, runs = [counter.read() for counter in counters], time.monotonic() + seconds, 0
    while not runs or time.monotonic() < end:
        call()
        runs += 1
    after = [counter.read() for counter in counters]
    used = sum((new - old) % counter.wraps for old, new, counter in zip(before, after, counters, strict=True))
    return used / 1e6 / runs
