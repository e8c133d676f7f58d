"""Under which conditions rounds were taken: what ended them, and what else the machine did meanwhile."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

from u3p_edge.errors import ConfigError

Ended = Literal["rounds", "precision", "time"]

BUSY = 0.1
"""Share of the machine's processor time from which on other programs are reported: less is the system's own."""


@dataclass(frozen=True)
class Conditions:
    """What ended the rounds at one number of threads, and what else the machine did meanwhile.

    Args:
        threads: number of threads.
        ended: "rounds": all that were asked for; "precision": every ratio was as certain as asked for; "time": the time was up.
        seconds: how long the rounds took.
        other_share: share, 0..1, of the processor time of all cores that other programs used; None where the system does not
            say.
        interruptions: how often the system took a core from this process (involuntary context switches); None likewise.
    """

    threads: int
    ended: Ended
    seconds: float
    other_share: float | None = None
    interruptions: int | None = None

    def __post_init__(self) -> None:
        if self.seconds < 0 or not 0 <= (self.other_share or 0) <= 1 or (self.interruptions or 0) < 0:
            raise ConfigError("conditions cannot have a time or a count below 0, or a share above 1")

    @property
    def is_busy(self) -> bool:
        """Whether other programs used enough of the machine to slow the rounds down."""
        return self.other_share is not None and self.other_share > BUSY


@dataclass(frozen=True)
class MachineTimes:
    """Seconds and counts so far, as the system has them."""

    elapsed: float
    all_cores: float
    idle: float
    this_process: float
    interruptions: int | None


def read_machine_times() -> MachineTimes:
    """Read the times of this moment; two readings give the conditions between them."""
    import psutil  # only here: a device predicts without it

    times, process = psutil.cpu_times(), psutil.Process()
    try:
        interruptions: int | None = int(process.num_ctx_switches().involuntary)
    except (AttributeError, NotImplementedError, psutil.Error):
        interruptions = None
    # Linux counts the time of guests in that of user programs too.
    guests = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    idle = times.idle + getattr(times, "iowait", 0.0)
    return MachineTimes(time.monotonic(), sum(times) - guests, idle, time.process_time(), interruptions)


def describe_conditions(before: MachineTimes, after: MachineTimes, threads: int, ended: Ended) -> Conditions:
    """Return the conditions between two readings.

    >>> before, after = MachineTimes(0, 0, 0, 0, 3), MachineTimes(10, 20, 5, 9, 8)
    >>> describe_conditions(before, after, 1, "rounds").other_share
    0.3
    """
    whole, used = after.all_cores - before.all_cores, after.this_process - before.this_process
    others = whole - (after.idle - before.idle) - used
    # The counters of the cores are coarse, so a short measurement can show a little less than nothing.
    share = min(1.0, max(0.0, others / whole)) if whole > 0 else None
    known = before.interruptions is not None and after.interruptions is not None
    interruptions = (after.interruptions or 0) - (before.interruptions or 0) if known else None
    return Conditions(threads, ended, after.elapsed - before.elapsed, share, interruptions)
