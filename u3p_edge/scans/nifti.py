"""NIfTI files with labels of the same names, as cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from u3p_edge.scans.case import CaseList, LabelledVolume
from u3p_edge.scans.listing import holds_files, list_pairs
from u3p_edge.scans.nifti_file import SUFFIXES, read_nifti, read_nifti_labels
from u3p_edge.scans.options import ScanOptions
from u3p_edge.scans.volume import check_same_grid

LAYOUT = "a .nii or .nii.gz file, a folder of them, or a folder with images/ and labels/ of the same names"


def recognize(source: Path) -> bool:
    """Return whether a path is a NIfTI file, or a folder that holds some, itself or in its folder of images."""
    return holds_files(source, SUFFIXES)


def list_cases(source: Path, options: ScanOptions) -> CaseList:
    """List the scans of a NIfTI file or folder; those without labels too.

    Raises:
        DataError: labels without an image.
    """
    return list_pairs(source, SUFFIXES, options, read_case)


def read_case(image: Path, labels: Path | None, options: ScanOptions, channel_names: Sequence[str] = ()) -> LabelledVolume:
    """Read an image and its labels, which must lie on the same voxels. Raises DataError that names the file."""
    volume = read_nifti(image, options, channel_names)
    if labels is None:
        return LabelledVolume(volume)
    mask = read_nifti_labels(labels, options)
    check_same_grid(volume, mask, image, labels)
    return LabelledVolume(volume, mask.voxels)
