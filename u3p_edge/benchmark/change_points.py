"""Where a series changes its level.

Candidates are the optimal partition into pieces of constant mean (PELT, Killick et al. 2012, arXiv:1101.1438), as `ruptures`
computes it. Each must then pass a t-test of the two pieces beside it (Welch), and the weakest is dropped until all do, as in
Hunter (Fleming et al. 2023, doi 10.1145/3578244.3583719).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

MAX_P_VALUE = 0.001
"""A level differs where equal levels would show such a difference in one of a thousand cases."""

SHORTEST = 3
"""Least number of points with one level: with fewer, a value that is off would be a level."""

PENALTY = 3.0
"""What another piece costs, in variances of the noise times the logarithm of the number of points. The criterion BIC has 2 for
a mean and a position; more, since the noise is only estimated. The t-test decides what is left."""

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ChangePoint:
    """A point from which on a series has another level.

    Args:
        index: of the first point with the new level, from 1.
        before, after: mean of the points from the change point before to this one, and from this one to the next.
    """

    index: int
    before: float
    after: float

    @property
    def growth(self) -> float:
        """The change as a share of the level before; infinite where that is 0."""
        return (self.after - self.before) / abs(self.before) if self.before else float("inf")


def find_change_points(values: Sequence[float], smallest: float = 0.0) -> tuple[ChangePoint, ...]:
    """Return the points at which a series changes its level, in order; so both levels have `SHORTEST` points or more.

    Args:
        values: the series.
        smallest: a change of a smaller share of the level is not one.

    Raises:
        MissingPackageError: ruptures or SciPy is not installed (see `errors.require_packages`).

    >>> [change.index for change in find_change_points([1.0, 1.1, 0.9, 1.0, 1.1, 2.0, 2.1, 1.9, 2.0, 2.1])]
    [5]
    """
    from ruptures import KernelCPD

    series = np.asarray(values, np.float64)
    if len(series) < 2 * SHORTEST or np.ptp(series) == 0:
        return ()
    noise = _estimate_noise(series)
    # Noise of 0 is that of a count, whose every step is one: the least penalty, so that equal values are not cut.
    penalty = max(PENALTY * noise**2 * np.log(len(series)), 1e-9 * float(np.ptp(series)) ** 2)
    # Of the linear kernel, whose cost is the sum of squares about the mean, in compiled code.
    *indices, _ = KernelCPD(kernel="linear", min_size=SHORTEST).fit(series.reshape(-1, 1)).predict(pen=penalty)
    return _drop_weak(series, [int(index) for index in indices], smallest)  # JSON has no numbers of NumPy


def _estimate_noise(series: Values) -> float:
    """Return the standard deviation of the noise about the levels, from the differences of neighbours: a step is one of many.

    1.4826 times the median of absolute values is the standard deviation of a normal distribution about 0.
    """
    return 1.4826 * float(np.median(np.abs(np.diff(series)))) / 2**0.5


def _drop_weak(series: Values, indices: Sequence[int], smallest: float) -> tuple[ChangePoint, ...]:
    """Return the changes at those indices, without those that are too weak or too small; the pieces beside them are joined."""
    ends = [0, *indices, len(series)]
    pieces = [series[first:end] for first, end in pairwise(ends)]
    means = [(float(left.mean()), float(right.mean())) for left, right in pairwise(pieces)]
    changes = [ChangePoint(index, *levels) for index, levels in zip(indices, means, strict=True)]
    p_values = [_compare(left, right) for left, right in pairwise(pieces)]
    if not changes:
        return ()
    small = [abs(change.growth) < smallest for change in changes]
    weakest = max(range(len(changes)), key=lambda i: (p_values[i] > MAX_P_VALUE, small[i], p_values[i]))
    if p_values[weakest] <= MAX_P_VALUE and not small[weakest]:
        return tuple(changes)
    return _drop_weak(series, [index for index in indices if index != indices[weakest]], smallest)


def _compare(left: Values, right: Values) -> float:
    """Return the p-value of Welch's t-test of two pieces; 0 for two different levels without any noise."""
    from scipy.stats import ttest_ind

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of values that do not vary at all
        p_value = float(ttest_ind(left, right, equal_var=False).pvalue)
    return float(left.mean() == right.mean()) if np.isnan(p_value) else p_value
