"""The figures of a run that are followed over time: each a median or a count of one file, with its interval."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from u3p_edge.benchmark.intervals import mean_dice_interval
from u3p_edge.benchmark.result import ArtifactResult, DataInfo, RunResult
from u3p_edge.benchmark.statistics import Interval, median, ratio
from u3p_edge.text import thread_count


@dataclass(frozen=True)
class Figure:
    """One figure of one file.

    Args:
        file: name of the file.
        name: what was measured, e.g. "latency, 1 thread".
        unit: of the value, e.g. "ms".
        value: a median, a mean or a count.
        low, high: bounds of its 95 % interval; the value itself where it has none.
        basis: what the value depends on besides the file: the reference of a ratio, the data of a Dice; else empty.
        more_is_better: whether a higher value is better.
    """

    file: str
    name: str
    unit: str
    value: float
    low: float
    high: float
    basis: str = ""
    more_is_better: bool = False

    @property
    def title(self) -> str:
        """Its name and what it depends on, e.g. "ratio, 1 thread (to model.float32.tflite)"."""
        return f"{self.name} ({self.basis})" if self.basis else self.name


def list_figures(result: RunResult) -> tuple[Figure, ...]:
    """Return the figures of every file of a run; what was not measured has none.

    Latency at each number of threads with the bootstrap interval of its median, its ratio to the reference, peak memory, size
    in MB of 10^6 bytes, and mean foreground Dice in points with its interval over groups.
    """
    return tuple(figure for a in result.artifacts for figure in _of_file(result, a))


def _of_file(result: RunResult, a: ArtifactResult) -> Iterator[Figure]:
    for entry in a.latencies:
        count, reference = thread_count(entry.threads), result.reference_latency(entry.threads)
        yield _figure(a, f"latency, {count}", "ms", median(entry.samples_ms))
        if reference is not None and a.name != result.reference:
            times = ratio(entry.samples_ms, reference.samples_ms)
            yield _figure(a, f"latency, {count}, ratio", "times", times, basis=f"to {result.reference}")
    if a.memory is not None:
        yield _figure(a, "peak memory", "MB", median(a.memory.peak_mb))
    yield _figure(a, "size", "MB", _exact(a.bytes / 1e6))
    if a.accuracy is not None and a.accuracy.mean_dice is not None:
        dice = mean_dice_interval(a.accuracy) or _exact(a.accuracy.mean_dice)
        points = Interval(*(100 * value for value in (dice.estimate, dice.low, dice.high)))
        yield _figure(a, "mean Dice", "points", points, basis=_describe(result.data), more_is_better=True)


def _figure(
    a: ArtifactResult, name: str, unit: str, value: Interval, *, basis: str = "", more_is_better: bool = False
) -> Figure:
    return Figure(a.name, name, unit, value.estimate, value.low, value.high, basis, more_is_better)


def _exact(value: float) -> Interval:
    return Interval(value, value, value)


def _describe(data: DataInfo | None) -> str:
    return "" if data is None else f"{data.name}, {data.split}, {data.sha256[:8]}"
