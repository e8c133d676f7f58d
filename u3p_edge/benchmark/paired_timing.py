"""Time the baseline's file and the current one side by side in one run, the baseline's twice, for `slowdown`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from u3p_edge.benchmark.slowdown import BLOCK, FEWEST_BLOCKS, PairedRounds, estimate_slowdown
from u3p_edge.errors import ConfigError
from u3p_edge.latency.clock import Rounds, interleave, make_sampler, milliseconds, processor_clock
from u3p_edge.progress import Step, idle
from u3p_edge.runtime import open_session

CHECKED = frozenset(BLOCK * round(FEWEST_BLOCKS * 1.2**step) for step in range(60))
"""Numbers of rounds after which it is checked how certain the ratios are: ever fewer, as a check takes ever longer."""

MOST_SECONDS = 300.0
"""Longest time of a gate."""


@dataclass(frozen=True)
class GateTiming:
    """How long a gate times files.

    Args:
        precision: a file is timed until the 95 % intervals of its ratio and of the A/A floor reach no further than this share
            from their medians. Their width ends it and not their position, so the number of rounds favours no outcome (Chow
            and Robbins 1965).
        seconds: of all files together; where it is up before, the rounds so far decide.

    Raises:
        ConfigError: a value is out of range.
    """

    precision: float = 0.01
    seconds: float = 240.0

    def __post_init__(self) -> None:
        if not 0 < self.precision < 1:
            raise ConfigError(f"a precision of {self.precision:.0%} cannot be", mend="Give more than 0 and less than 100.")
        if not 0 < self.seconds <= MOST_SECONDS:
            raise ConfigError(f"a gate cannot take {self.seconds:g} seconds", mend=f"Give {MOST_SECONDS:g} at most.")


def time_pair(
    baseline: Path, current: Path, threads: int, *, precision: float | None, seconds: float, step: Step = idle
) -> PairedRounds:
    """Time two files that take the same images side by side, each loaded anew, the baseline's twice.

    At one thread the processor time of this process is counted, else the elapsed time (`processor_clock`).

    Args:
        baseline, current: the files.
        threads: number of threads.
        precision: see `GateTiming`; None to go on until the time is up.
        seconds: no further round starts after this long.
        step: called after each round.

    Raises:
        ModelError, MissingPackageError: as `open_session`.
        DataError: the files take images of different shapes.
    """
    sessions = [open_session(path, threads) for path in (baseline, baseline, current)]
    image = np.random.default_rng(0).random(sessions[0].input_shape, dtype=np.float32)
    calls, clock = [session.prepare(image) for session in sessions], processor_clock(threads)
    # The first run also touches all memory for the first time. One estimate for all, so that all are sampled alike.
    rough_ms = min(min(milliseconds(call, clock), milliseconds(call, clock)) for call in calls)
    samplers = [make_sampler(call, rough_ms, clock) for call in calls]
    taken = interleave(samplers, lambda done: precision is None or wants_precision(done, precision), seconds=seconds, step=step)
    first, again, changed = taken.samples
    return PairedRounds(first, again, changed, taken.in_time)


def wants_precision(done: Rounds[float], precision: float) -> bool:
    """Return whether rounds of A, A' and B are not as precise yet as `GateTiming` says; True where it is not checked."""
    if len(done) not in CHECKED:
        return True
    first, again, changed = zip(*done, strict=True)
    return estimate_slowdown(PairedRounds(first, again, changed)).uncertainty > precision
