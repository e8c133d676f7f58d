"""The time of a whole frame: preparing the image, the network, restoring the mask, all three together, and the throughput."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from u3p_edge.benchmark.result import RunResult
from u3p_edge.text import thread_count, three_digits

HEADER = ("part", "median ms", "p90 ms", "p99 ms")
PARTS = ("prepare", "network", "restore", "end to end")
MORE = ("network's share", "images a second")


def frame_rows(prepare_ms: Sequence[float], network_ms: Sequence[float], restore_ms: Sequence[float]) -> list[list[str]]:
    """Return a row for each of `PARTS`: its name, then median, 90th and 99th percentile in milliseconds, as text.

    Args:
        prepare_ms, network_ms, restore_ms: one sample per frame; end to end is their sum in each frame.
    """
    figures = _figures(prepare_ms, network_ms, restore_ms)
    return [[part, *(f"{figure:.2f}" for figure in row)] for part, row in zip(PARTS, figures, strict=True)]


def frame_table(result: RunResult) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a run's frames, one row per file; no rows without frames.

    Of each part "median / p90 / p99" in ms, then the network's share of the time of all frames, and images a second.
    """
    timed = [(artifact.name, artifact.frames) for artifact in result.artifacts if artifact.frames]
    rows = []
    for name, frames in timed:
        figures = _figures(frames.prepare_ms, frames.network_ms, frames.restore_ms)
        parts = (" / ".join(f"{figure:.2f}" for figure in row) for row in figures)
        network, whole = sum(frames.network_ms), sum((*frames.prepare_ms, *frames.network_ms, *frames.restore_ms))
        rows.append([name, *parts, f"{network / whole:.0%}", three_digits(1000 * len(frames.network_ms) / whole)])
    return ["file", *PARTS, *MORE], rows


def frame_title(result: RunResult) -> str:
    """Return a sentence that says what `frame_table` shows; empty without frames."""
    frames = next((artifact.frames for artifact in result.artifacts if artifact.frames), None)
    if frames is None:
        return ""
    height, width = frames.size
    return (
        f"Milliseconds of a whole frame of {height}x{width} pixels, from memory to its mask (median / p90 / p99 of "
        f"{len(frames.prepare_ms)}, {thread_count(frames.threads)})"
    )


def _figures(prepare_ms: Sequence[float], network_ms: Sequence[float], restore_ms: Sequence[float]) -> npt.NDArray[np.float64]:
    """Return median, 90th and 99th percentile of each of `PARTS`: float64 [4, 3]."""
    samples = np.array([prepare_ms, network_ms, restore_ms], np.float64)
    whole = np.vstack([samples, samples.sum(axis=0)])
    figures: npt.NDArray[np.float64] = np.percentile(whole, (50, 90, 99), axis=1).T
    return figures
