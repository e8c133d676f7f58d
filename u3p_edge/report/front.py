"""The table of a front: one row for each network, with what it scores, takes and needs beside the float file."""

from __future__ import annotations

from collections.abc import Sequence

from u3p_edge.benchmark.intervals import mean_dice_interval
from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.statistics import quartiles, ratio
from u3p_edge.report import markdown
from u3p_edge.report.loss import loss_cell
from u3p_edge.report.pareto import find_front, list_points
from u3p_edge.text import three_digits

HEADER = ("network", "Dice (95 %)", "points lost (95 %)", "ms", "times as fast", "memory", "size", "shape", "how it was made")


def front_table(result: RunResult, rows: Sequence[tuple[str, str, str]]) -> str:
    """Return the table of `front_cells` as Markdown."""
    return markdown.table(list(HEADER), front_cells(result, rows))


def front_cells(result: RunResult, rows: Sequence[tuple[str, str, str]]) -> list[list[str]]:
    """Return the cells of the table below `HEADER`.

    Args:
        result: the float reference first, then one int8 file for each row, timed at one thread.
        rows: name, shape and making of each network, in words.
    """
    reference, *files = result.artifacts
    words = [("float", "", ""), *rows]
    return [
        [name, _dice(file), loss_cell(result, file), _milliseconds(file), _gain(file, reference), *_bytes(file), shape, made]
        for (name, shape, made), file in zip(words, (reference, *files), strict=True)
    ]


def list_dominated(result: RunResult, names: Sequence[str]) -> tuple[str, ...]:
    """Return a sentence for each network that another one beats in both Dice and latency, so that it is not on the front.

    Args:
        result: as of `front_table`.
        names: of the networks, in the same order.
    """
    points = list_points(result)[1:]
    if len(points) < len(names):
        return ()  # no image has a foreground class
    front, named = find_front(points), dict(zip((point.name for point in points), names, strict=True))
    sentences = []
    for point in points:
        if point not in front:
            no_worse = [each for each in front if each.latency.estimate <= point.latency.estimate and each.dice >= point.dice]
            better = no_worse[-1]  # the nearest in time
            sentences.append(f"{named[point.name]} is not on the front: {named[better.name]} is no slower and scores no less.")
    return tuple(sentences)


def _dice(file: ArtifactResult) -> str:
    """Return the mean Dice in points with its interval over groups, where there are enough of them."""
    if file.accuracy is None or file.accuracy.mean_dice is None:
        return "–"
    points, interval = f"{100 * file.accuracy.mean_dice:.2f}", mean_dice_interval(file.accuracy)
    return points if interval is None else f"{points} ({100 * interval.low:.1f} to {100 * interval.high:.1f})"


def _milliseconds(file: ArtifactResult) -> str:
    latency = file.latency(1)
    return "–" if latency is None else three_digits(quartiles(latency.samples_ms).estimate)


def _gain(file: ArtifactResult, reference: ArtifactResult) -> str:
    ours, theirs = file.latency(1), reference.latency(1)
    return "–" if ours is None or theirs is None else three_digits(ratio(theirs.samples_ms, ours.samples_ms).estimate)


def _bytes(file: ArtifactResult) -> tuple[str, str]:
    """Return peak memory and size."""
    memory = "–" if file.memory is None else f"{quartiles(file.memory.peak_mb).estimate:.0f} MB"
    return memory, f"{file.bytes / 1e6:.2f} MB"
