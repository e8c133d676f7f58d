"""The kinds of scans whose masks are written as volumes of the same kind. A kind is one entry of `MASK_FORMATS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from u3p_edge.config.metadata import Metadata
from u3p_edge.scans.listing import stem_of
from u3p_edge.scans.nifti_file import SUFFIXES, read_nifti, write_nifti_labels
from u3p_edge.scans.options import ScanOptions
from u3p_edge.scans.volume import Volume

MaskWriter = Callable[[Path, npt.NDArray[np.uint8], Path, ScanOptions, Metadata], None]
"""`write(target, labels, scan, options, metadata)` writes labels [slices, H, W] of a scan, as `read` orders its slices."""


@dataclass(frozen=True)
class MaskFormat:
    """A kind of scan that is predicted slice by slice, and gets one mask.

    Args:
        name: e.g. "NIfTI".
        recognize: whether a path is one scan, by its name alone.
        read: reads it; raises DataError that names the file.
        mask_name: the file name of its mask.
        write: writes the mask, whole or not at all.
    """

    name: str
    recognize: Callable[[Path], bool]
    read: Callable[[Path, ScanOptions], Volume]
    mask_name: Callable[[Path], str]
    write: MaskWriter


def _is_nifti(path: Path) -> bool:
    return path.is_file() and stem_of(path, SUFFIXES) is not None


def _write_nifti(target: Path, labels: npt.NDArray[np.uint8], scan: Path, options: ScanOptions, _metadata: Metadata) -> None:
    write_nifti_labels(target, labels, scan, options.axis)


MASK_FORMATS: tuple[MaskFormat, ...] = (MaskFormat("NIfTI", _is_nifti, read_nifti, lambda scan: scan.name, _write_nifti),)
"""In the order in which they are tried."""


def find_format(path: Path) -> MaskFormat | None:
    """Return the first kind that recognizes a path as one scan; None for a picture or a folder of files."""
    return next((one for one in MASK_FORMATS if one.recognize(path)), None)
