"""What interleaved rounds resolve: times beside a reference's, rounded so that noise below the resolution changes nothing.

A ratio is taken inside each round, so what slows a whole round cancels. The 95 % interval of its median follows from the order
of the ratios alone (a sign test; Conover, Practical Nonparametric Statistics, 3.2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Relative steps that times are rounded to: the least that is as wide as the interval."""


def round_resolved(samples: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the median time of each candidate, rounded to what the rounds resolve beside the first.

    A candidate gets the first's time where the interval of their ratio contains 1. Otherwise the ratio is rounded to a power of
    1 plus the step that its interval fills.

    Args:
        samples: one sample of each candidate a round, all above 0.
    """
    first = median(samples[0])
    return tuple(first * _rounded([time / other for time, other in zip(each, samples[0], strict=True)]) for each in samples)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the bounds of the 95 % interval of the median; the least and the greatest value where there are few."""
    ordered, count = sorted(values), len(values)
    # The number of values below the median is binomial: count / 2 on average, with a deviation of sqrt(count) / 2.
    outside = max(math.floor((count - 1.96 * math.sqrt(count)) / 2), 0)
    return ordered[outside], ordered[-1 - outside]


def _rounded(ratios: Sequence[float]) -> float:
    low, high = median_interval(ratios)
    if low <= 1 <= high:
        return 1.0
    step = math.log1p(next((step for step in STEPS if high <= low * (1 + step)), STEPS[-1]))
    return math.exp(round(math.log(median(ratios)) / step) * step)
