"""Medians with their uncertainty, from raw samples.

Latencies on a shared machine are skewed and have outliers, so they are described by medians and quartiles. The
uncertainty of a median ratio comes from the bootstrap percentile interval (Efron 1979): rounds are resampled with
replacement. A ratio is taken inside each round, so what slows a whole round down cancels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
CHUNK = 1 << 20
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate (a median, or a mean) and the bounds around it.

    Args:
        estimate: of the samples themselves.
        low, high: the bounds.
    """

    estimate: float
    low: float
    high: float

    @property
    def uncertainty(self) -> float:
        """The greater distance of a bound from the estimate, as a share of the estimate (which must be above 0)."""
        return max(self.high - self.estimate, self.estimate - self.low) / self.estimate


def quartiles(samples: Sequence[float]) -> Interval:
    """Return the median with the first and third quartile."""
    low, middle, high = np.percentile(np.asarray(samples, np.float64), (25, 50, 75))
    return Interval(float(middle), float(low), float(high))


def median(samples: Sequence[float]) -> Interval:
    """Return the median with its 95 % bootstrap interval."""
    values = np.asarray(samples, np.float64)
    return percentile_interval(float(np.median(values)), _bootstrap(values, seed=0))


def bootstrap_median(blocks: npt.NDArray[np.float64]) -> Interval:
    """Return the median of all values with its 95 % interval by a bootstrap over blocks, whose values stay together.

    Args:
        blocks: float64 [blocks, values].

    >>> bootstrap_median(np.array([[1.0, 3.0], [1.0, 3.0]]))
    Interval(estimate=2.0, low=2.0, high=2.0)
    """
    count, values = blocks.shape
    drawn = draw_resamples(count, seed=0, values=values)
    draws = np.concatenate([np.median(blocks[index].reshape(len(index), -1), axis=1) for index in drawn])
    return percentile_interval(float(np.median(blocks)), draws)


def samples_to_decide(samples: int, change: Interval, limit: float) -> int | None:
    """Estimate how many samples it takes until an interval lies on one side of a limit, if the estimate does not change.

    The width of an interval is inversely proportional to the square root of the number of samples. The result is None if the
    estimate equals the limit, to 1 part in 1000.

    Args:
        samples: number of samples (rounds, or patients) that gave the interval.
        change: the interval, with the limit inside.
        limit: the limit that the interval shall be on one side of, 0 or above.
    """
    gap = abs(limit - change.estimate)
    if gap <= 1e-3 * limit:
        return None
    reach = change.high - change.estimate if change.estimate < limit else change.estimate - change.low
    return math.ceil(samples * max(1.0, (reach / gap) ** 2) - 1e-6)  # for the rounding error of the division


def ratio(samples: Sequence[float], reference: Sequence[float]) -> Interval:
    """Return the median over rounds of samples / reference, with its 95 % bootstrap interval; both have one value per round."""
    paired = _paired(samples, reference)
    return percentile_interval(float(np.median(paired)), _bootstrap(paired, seed=0))


def ratio_of_medians(samples: Sequence[float], reference: Sequence[float]) -> Interval:
    """Return median of samples / median of reference, with its 95 % bootstrap interval, for samples of different rounds."""
    values, others = (np.asarray(each, np.float64) for each in (samples, reference))
    draws = _bootstrap(values, seed=0) / _bootstrap(others, seed=1)
    return percentile_interval(float(np.median(values) / np.median(others)), draws)


def draw_resamples(count: int, seed: int, values: int = 1) -> Iterator[npt.NDArray[np.int64]]:
    """Yield the indices of `RESAMPLES` draws with replacement from `count` items, a chunk of draws at a time.

    Args:
        count: number of items.
        seed: the same seed gives the same draws, however many chunks they come in.
        values: numbers that an item holds.

    Yields:
        int64 [draws, count], of about `CHUNK` numbers or one draw.
    """
    rng = np.random.default_rng(seed)
    step = max(1, CHUNK // (count * values))
    for first in range(0, RESAMPLES, step):
        yield rng.integers(0, count, size=(min(step, RESAMPLES - first), count))


def percentile_interval(estimate: float, draws: npt.NDArray[np.float64]) -> Interval:
    """Return the 95 % bootstrap percentile interval of an estimate (Efron 1979).

    Args:
        estimate: of the sample itself.
        draws: float64 [draws], the estimate of each resample; NaN, where a resample has none, is left out.
    """
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.nanpercentile(draws, (tail, 100 - tail))
    return Interval(estimate, float(low), float(high))


def _paired(samples: Sequence[float], reference: Sequence[float]) -> npt.NDArray[np.float64]:
    if len(samples) != len(reference):
        raise ValueError(f"{len(samples)} samples cannot be paired with {len(reference)}")
    return np.asarray(samples, np.float64) / np.asarray(reference, np.float64)


def _bootstrap(values: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    """Return the medians of `RESAMPLES` draws with replacement; seeded, so the same samples always give the same verdict."""
    return np.concatenate([np.median(values[drawn], axis=1) for drawn in draw_resamples(len(values), seed)])
