"""One scan that is predicted slice by slice and gets one mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from u3p_edge.config.metadata import Metadata
from u3p_edge.scans.volume import Volume

MaskWriter = Callable[[Path, npt.NDArray[np.uint8], Metadata], None]
"""`write(target, labels, metadata)` writes labels [slices, H, W], as `read` orders the slices; whole or not at all."""


@dataclass(frozen=True)
class ScanInput:
    """A scan, read only when it is needed.

    Args:
        mask_name: the file name of its mask.
        read: reads it; raises DataError that names the file.
        write: writes its mask.
    """

    mask_name: str
    read: Callable[[], Volume]
    write: MaskWriter
