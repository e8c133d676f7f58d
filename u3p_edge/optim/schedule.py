"""The learning rate at every step: a linear warm-up, then half a cosine wave (Loshchilov and Hutter 2017, without restarts)."""

from __future__ import annotations

import math


def learning_rate(step: int, total: int, warmup: int, peak: float) -> float:
    """Return the learning rate of one step, a pure function of its position in the whole run.

    Args:
        step: 0 .. total - 1, counted over all epochs.
        total: steps of the whole run.
        warmup: steps over which it rises: peak / warmup, 2 peak / warmup, ... peak; fewer than `total`, or all but one
            step are warm-up.
        peak: the highest rate, reached at the warm-up's last step; afterwards it falls and would be 0 at step `total`.
    """
    rising = min(warmup, total - 1)
    if step < rising:
        return peak * (step + 1) / rising
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - rising) / (total - rising)))
