"""Take a few of many at even distances: nothing is random, and the first and the last are among them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def spread_evenly(length: int, count: int) -> npt.NDArray[np.intp]:
    """Return up to `count` different indices of `length` things, in rising order, at even distances.

    >>> spread_evenly(10, 4)
    array([0, 3, 6, 9])
    >>> spread_evenly(2, 4)
    array([0, 1])
    """
    return np.unique(np.linspace(0, length - 1, count).round().astype(np.intp))
