"""The kinds of sources that are read. A kind is one file of this package and one entry of `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.errors import DataError
from u3p_edge.scans import class_masks, msd, nifti, nnunet, tiff_stack
from u3p_edge.scans.case import CaseList
from u3p_edge.scans.dicom import cases as dicom
from u3p_edge.scans.dicom.files import is_dicom
from u3p_edge.scans.options import ScanOptions

NIFTI, DICOM, TIFF_STACK, MASKS_BY_CLASS = "NIfTI", "DICOM", "TIFF stack", "masks by class"
"""Names of kinds that options are about."""


@dataclass(frozen=True)
class SourceKind:
    """A kind of file or folder that holds scans.

    Args:
        name: e.g. "NIfTI".
        layout: what it looks like, for a user.
        recognize: whether a path is one, by names alone.
        list_cases: lists its scans; none is read.
    """

    name: str
    layout: str
    recognize: Callable[[Path], bool]
    list_cases: Callable[[Path, ScanOptions], CaseList]


SOURCES: tuple[SourceKind, ...] = (
    SourceKind("nnU-Net", nnunet.LAYOUT, nnunet.recognize, nnunet.list_cases),
    SourceKind("MSD", msd.LAYOUT, msd.recognize, msd.list_cases),
    SourceKind(NIFTI, nifti.LAYOUT, nifti.recognize, nifti.list_cases),
    SourceKind(DICOM, dicom.LAYOUT, is_dicom, dicom.list_cases),
    SourceKind(MASKS_BY_CLASS, class_masks.LAYOUT, class_masks.recognize, class_masks.list_cases),
    SourceKind(TIFF_STACK, tiff_stack.LAYOUT, tiff_stack.recognize, tiff_stack.list_cases),
)
"""In the order in which they are tried."""


def find_kind(source: Path) -> SourceKind:
    """Return the first kind that recognizes a path.

    Raises:
        DataError: there is nothing, or no kind recognizes it; lists the kinds.
    """
    if not source.exists():
        raise DataError(f"{source} does not exist")
    kind = next((kind for kind in SOURCES if kind.recognize(source)), None)
    if kind is None:
        kinds = "; ".join(f"{one.name}: {one.layout}" for one in SOURCES)
        raise DataError(f"{source} is no source of scans that is known", mend=f"What is read: {kinds}.")
    return kind
