"""The time of a whole frame: preparing the image, the network, restoring the mask, and all three together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

HEADER = ("part", "median ms", "p90 ms", "p99 ms")
PARTS = ("prepare", "network", "restore", "end to end")


def frame_rows(prepare_ms: Sequence[float], network_ms: Sequence[float], restore_ms: Sequence[float]) -> list[list[str]]:
    """A row for each of `PARTS`: its name, then median, 90th and 99th percentile in milliseconds, as text.

    Args:
        prepare_ms, network_ms, restore_ms: one sample a frame; end to end is their sum in each frame.
    """
    samples = np.array([prepare_ms, network_ms, restore_ms], np.float64)
    whole = np.vstack([samples, samples.sum(axis=0)])
    figures = np.percentile(whole, (50, 90, 99), axis=1).T
    return [[part, *(f"{figure:.2f}" for figure in row)] for part, row in zip(PARTS, figures, strict=True)]
