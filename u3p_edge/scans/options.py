"""How scans are read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Axis = Literal["axial", "coronal", "sagittal"]

MAX_VOXELS = 1024**3
"""Voxels that a volume may have unless more are allowed: a small file can ask for gigabytes of memory."""


@dataclass(frozen=True)
class ScanOptions:
    """How the files of scans are read.

    Args:
        axis: which slices a volume is cut into, where its file holds all directions.
        channel: of a scan with several channels or time points, the one that is read: its number, from 0, or its name.
        max_voxels: that a volume may have, over all its channels.
    """

    axis: Axis = "axial"
    channel: str | None = None
    max_voxels: int = MAX_VOXELS


DEFAULTS = ScanOptions()
