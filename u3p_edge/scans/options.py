"""How scans are read."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from u3p_edge.config.metadata import Axis
from u3p_edge.errors import ConfigError

Window = tuple[float, float] | Literal["file"]
"""Which grey values are shown from black to white: centre and width, or those that each file names."""

Overlap = Literal["error", "first", "last", "keep"]

MAX_VOXELS = 1024**3
"""Voxels that a volume may have unless more are allowed: a small file can ask for gigabytes of memory."""


@dataclass(frozen=True)
class ScanOptions:
    """How the files of scans are read.

    Args:
        axis: which slices a volume is cut into, where its file holds all directions. None is axial, or in a prediction the axis
            that the network was trained on.
        channel: of a scan with several channels or time points, the one that is read: its number, from 0, or its name.
        max_voxels: that a volume may have, over all its channels.
        series: of a DICOM folder with several series, the one that is read: its name here or its UID; None for all.
        window: DICOM images become grey values of 8 bits through it; None for values as they are.
        pseudonym_key: the file with the key from which names of DICOM's patients are made; None for the user's own.
        labels: the file of labels, where the source is one file of an image; None for none.
        classes: names of classes that have mask files of their own, class 1 first; empty to order them by name.
        overlap: what becomes of a pixel in the mask files of several classes: an error, the first or last of its classes, or,
            for a model of classes that may overlap, all of them.
        segment_codes: the file with the coded concepts of classes, for DICOM segmentations that are written; None for codes of
            this program's own.
    """

    axis: Axis | None = None
    channel: str | None = None
    max_voxels: int = MAX_VOXELS
    series: str | None = None
    window: Window | None = None
    pseudonym_key: Path | None = None
    labels: Path | None = None
    classes: tuple[str, ...] = ()
    overlap: Overlap = "error"
    segment_codes: Path | None = None

    @property
    def slice_axis(self) -> Axis:
        """The axis of the slices, axial where none was chosen."""
        return self.axis or "axial"


DEFAULTS = ScanOptions()


def follow_training(options: ScanOptions, trained: Axis | None) -> ScanOptions:
    """Return the options with the axis that a network was trained on.

    A network has never seen slices of another axis, so its masks of them mean nothing.

    Args:
        options: of the user.
        trained: None where it is not known; then the options stay as they are.

    Raises:
        ConfigError: the options name another axis.

    >>> follow_training(ScanOptions(), "coronal").slice_axis
    'coronal'
    """
    if trained is None:
        return options
    if options.axis not in (None, trained):
        raise ConfigError(
            f"the network was trained on {trained} slices, and --axis asks for {options.axis} ones", mend="Leave --axis out."
        )
    return replace(options, axis=trained)


def parse_window(text: str) -> Window | None:
    """Parse "CENTER,WIDTH" or "file"; None for an empty text. Raises ConfigError.

    >>> parse_window("40,400")
    (40.0, 400.0)
    """
    if text in ("", "file"):
        return "file" if text else None
    try:
        center, width = map(float, text.split(","))
    except ValueError:
        center, width = math.nan, math.nan
    if not math.isfinite(center + width) or width < 1:
        raise ConfigError(f"--window: {text!r} is no window", mend="Give CENTER,WIDTH with a width of 1 or more, or file.")
    return center, width
