"""Choose the images on which post-training quantization measures ranges."""

from __future__ import annotations

from u3p_edge.data.load import Arrays
from u3p_edge.data.spread import spread_evenly


def calibration_indices(arrays: Arrays, count: int) -> tuple[int, ...]:
    """Return indices of up to `count` images, spread evenly over the groups (patients) and, within them, over the stems.

    They are sorted by group and stem and taken at even distances: nothing is random, and no patient dominates.
    """
    order = sorted(range(len(arrays.stems)), key=lambda i: (arrays.groups[i], arrays.stems[i]))
    chosen = spread_evenly(len(order), count)
    return tuple(order[i] for i in chosen)
