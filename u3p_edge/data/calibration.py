"""Choose the images on which post-training quantization measures ranges."""

from __future__ import annotations

from collections.abc import Sequence

from u3p_edge.data.folder import Sample
from u3p_edge.data.load import Arrays
from u3p_edge.data.spread import spread_evenly


def calibration_indices(arrays: Arrays, count: int) -> tuple[int, ...]:
    """Return indices of up to `count` images, spread evenly over the groups (patients) and, within them, over the stems.

    They are sorted by group and stem and taken at even distances: nothing is random, and no patient dominates.
    """
    return _choose(list(zip(arrays.groups, arrays.stems, strict=True)), count)


def calibration_samples(samples: Sequence[Sample], count: int) -> tuple[Sample, ...]:
    """Return the samples whose images `calibration_indices` chooses, before any is read."""
    return tuple(samples[i] for i in _choose([(sample.group, sample.stem) for sample in samples], count))


def _choose(names: Sequence[tuple[str, str]], count: int) -> tuple[int, ...]:
    order = sorted(range(len(names)), key=lambda i: names[i])
    return tuple(order[i] for i in spread_evenly(len(order), count))
