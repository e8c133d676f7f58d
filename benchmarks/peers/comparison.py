"""What was measured of all peers in one run, and its file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from u3p_edge.benchmark.intervals import resample_mean
from u3p_edge.benchmark.loss_check import LossCheck
from u3p_edge.benchmark.result import DataInfo, Environment
from u3p_edge.benchmark.statistics import Interval, percentile_interval, quartiles
from u3p_edge.config.plain import from_dict
from u3p_edge.files.atomic import read_json, write_json
from u3p_edge.metrics import Scores, mean_over_foreground


@dataclass(frozen=True)
class Timing:
    """Milliseconds of one run at a number of threads, one sample a round: elapsed, and of the processor."""

    threads: int
    elapsed_ms: tuple[float, ...]
    processor_ms: tuple[float, ...]

    @property
    def ms(self) -> tuple[float, ...]:
        """What counts, as of `u3p_edge.latency.clock.processor_clock`: the processor's time at one thread, else the elapsed."""
        return self.processor_ms if self.threads == 1 else self.elapsed_ms


@dataclass(frozen=True)
class PeerResult:
    """One row.

    Args:
        key, name, runtime, ours: see `benchmarks.peers.peer.Peer`.
        failed: why it is not measured; empty if it is. All below is empty then.
        versions: of its packages.
        file_bytes: of all that has to be shipped.
        baseline_mb: peak memory of its process with Python and NumPy alone.
        peak_mb: after two runs at one thread.
        dice: of every group and class of the test split, 0..1; None for a class in neither mask.
        validation: the check of its loss against the float network on the validation split, for this package's own.
        timings: at each number of threads.
    """

    key: str
    name: str
    runtime: str
    ours: bool
    failed: str = ""
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    file_bytes: int = 0
    baseline_mb: float = 0.0
    peak_mb: float = 0.0
    dice: tuple[tuple[float | None, ...], ...] = ()
    validation: LossCheck | None = None
    timings: tuple[Timing, ...] = ()

    @property
    def fastest(self) -> Timing:
        """The timing of the best number of threads, by the median."""
        return min(self.timings, key=lambda timing: quartiles(timing.ms).estimate)

    @property
    def scores(self) -> Scores:
        """Dice as float64 [groups, classes], NaN for None."""
        return np.array(self.dice, np.float64)

    @property
    def mean_dice(self) -> Interval:
        """Mean foreground Dice in percent, with its 95 % interval by a bootstrap over groups."""
        scores = self.scores
        return percentile_interval(100 * float(mean_over_foreground(scores)), 100 * resample_mean(scores))


@dataclass(frozen=True)
class Comparison:
    """All rows of one run; the first is the reference. Rounds are interleaved over all of them and all numbers of threads."""

    command: str
    environment: Environment
    data: DataInfo
    peers: tuple[PeerResult, ...]

    @property
    def measured(self) -> tuple[PeerResult, ...]:
        """The rows that did not fail."""
        return tuple(peer for peer in self.peers if not peer.failed)


def save_comparison(path: Path, comparison: Comparison) -> None:
    """Write a comparison as JSON, whole or not at all."""
    write_json(path, dataclasses.asdict(comparison))


def read_comparison(path: Path) -> Comparison:
    """Read what `save_comparison` wrote. Raises ConfigError where it has another form."""
    return from_dict(Comparison, read_json(path))
