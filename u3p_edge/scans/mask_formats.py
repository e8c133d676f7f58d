"""The kinds of scans whose masks are written as volumes of the same kind. A kind is one entry of `MASK_FORMATS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from u3p_edge.config.metadata import Metadata
from u3p_edge.data.formats import SUFFIXES as PICTURE_SUFFIXES
from u3p_edge.scans.dicom.files import is_dicom
from u3p_edge.scans.dicom.inputs import list_series_inputs
from u3p_edge.scans.listing import stem_of
from u3p_edge.scans.nifti_file import SUFFIXES, read_nifti, write_nifti_labels
from u3p_edge.scans.options import ScanOptions
from u3p_edge.scans.scan_input import ScanInput


@dataclass(frozen=True)
class MaskFormat:
    """A kind of scan that is predicted slice by slice.

    Args:
        name: e.g. "NIfTI".
        recognize: whether a path is a scan, or a folder that is read as a whole, by names and a few files' first bytes.
        list_scans: lists the scans of a path; none is read. Raises DataError that names the file.
    """

    name: str
    recognize: Callable[[Path], bool]
    list_scans: Callable[[Path, ScanOptions], tuple[ScanInput, ...]]


def _is_nifti(path: Path) -> bool:
    return path.is_file() and stem_of(path, SUFFIXES) is not None


def _is_dicom(path: Path) -> bool:
    """Return whether a path is a DICOM file, or a folder with some and without pictures."""
    holds_pictures = path.is_dir() and any(one.suffix.lower() in PICTURE_SUFFIXES for one in path.iterdir())
    return not holds_pictures and is_dicom(path)


def _list_nifti(path: Path, options: ScanOptions) -> tuple[ScanInput, ...]:
    return (ScanInput(path.name, partial(read_nifti, path, options), partial(_write_nifti, path, options)),)


def _write_nifti(scan: Path, options: ScanOptions, target: Path, labels: npt.NDArray[np.uint8], _metadata: Metadata) -> None:
    write_nifti_labels(target, labels, scan, options.slice_axis)


MASK_FORMATS: tuple[MaskFormat, ...] = (
    MaskFormat("NIfTI", _is_nifti, _list_nifti),
    MaskFormat("DICOM", _is_dicom, list_series_inputs),
)
"""In the order in which they are tried."""


def find_format(path: Path) -> MaskFormat | None:
    """Return the first kind that recognizes a path; None for a picture or a folder of files."""
    return next((one for one in MASK_FORMATS if one.recognize(path)), None)
