"""Which images post-training quantization measures ranges on."""

from __future__ import annotations

import numpy as np

from u3p_edge.data.load import Arrays


def calibration_indices(arrays: Arrays, count: int) -> tuple[int, ...]:
    """Indices of up to `count` images, spread evenly over the groups (patients) and, within them, over the stems.

    Sorted by group and stem and taken at even distances: no chance, and no patient dominates.
    """
    order = sorted(range(len(arrays.stems)), key=lambda i: (arrays.groups[i], arrays.stems[i]))
    chosen = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))
    return tuple(order[i] for i in chosen)
