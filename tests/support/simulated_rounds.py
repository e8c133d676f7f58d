"""Paired rounds with known truth: what a machine does to times, drawn from a seed."""

from __future__ import annotations

import numpy as np

from u3p_edge.benchmark.slowdown import PairedRounds


def draw_rounds(
    seed: int, count: int = 120, *, slower: float = 1.0, spread: float = 0.03, drift: float = 0.3, misplaced: float = 1.0
) -> PairedRounds:
    """Rounds of two files of about 8 ms.

    Args:
        seed: of all chance.
        count: number of rounds.
        slower: time of the current file as a ratio to the baseline's.
        spread: of each time for itself, as the deviation of its logarithm; a tenth of the times take twice as long.
        drift: what slows all three alike grows by so much over the rounds.
        misplaced: time of the baseline's file, loaded again, as a ratio to itself.
    """
    rng = np.random.default_rng(seed)
    machine = 8 * (1 + drift * np.linspace(0, 1, count))[:, None]
    disturbed = np.where(rng.random((count, 3)) < 0.1, 2.0, 1.0)
    times = machine * (1, misplaced, slower) * rng.lognormal(0, spread, (count, 3)) * disturbed
    first, again, current = (tuple(map(float, column)) for column in times.T)
    return PairedRounds(first, again, current)
