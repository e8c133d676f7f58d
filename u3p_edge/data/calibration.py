"""Choose the images on which post-training quantization measures ranges."""

from __future__ import annotations

import numpy as np

from u3p_edge.data.load import Arrays


def calibration_indices(arrays: Arrays, count: int) -> tuple[int, ...]:
    """Return indices of up to `count` images, spread evenly over the groups (patients) and, within them, over the stems.

    They are sorted by group and stem and taken at even distances: nothing is random, and no patient dominates.
    """
    order = sorted(range(len(arrays.stems)), key=lambda i: (arrays.groups[i], arrays.stems[i]))
    chosen = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return tuple(order[i] for i in chosen)
