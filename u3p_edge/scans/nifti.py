"""NIfTI files with labels of the same names, as cases."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from u3p_edge.errors import DataError
from u3p_edge.scans.case import Case, CaseList, LabelledVolume
from u3p_edge.scans.listing import files_by_stem, patients_of, stem_of
from u3p_edge.scans.nifti_file import SUFFIXES, read_nifti, read_nifti_labels
from u3p_edge.scans.options import ScanOptions
from u3p_edge.scans.volume import check_same_grid

FOLDERS = (("images", "labels"), ("images", "masks"), ("imagesTr", "labelsTr"))
"""Names of the folders of images and of labels."""

LAYOUT = "a .nii or .nii.gz file, a folder of them, or a folder with images/ and labels/ of the same names"


def recognize(source: Path) -> bool:
    """Return whether a path is a NIfTI file, or a folder that holds some, itself or in its folder of images."""
    if source.is_file():
        return stem_of(source, SUFFIXES) is not None
    folders = (source, *(source / images for images, _ in FOLDERS))
    return any(stem_of(path, SUFFIXES) for folder in folders if folder.is_dir() for path in folder.iterdir())


def list_cases(source: Path, options: ScanOptions) -> CaseList:
    """List the scans of a NIfTI file or folder; those without labels too.

    Raises:
        DataError: labels without an image.
    """
    images, labels = _pair(source)
    patients = patients_of(list(images))
    return CaseList(
        tuple(
            Case(stem, patients[stem], stem in labels, partial(read_case, image, labels.get(stem), options))
            for stem, image in images.items()
        )
    )


def read_case(image: Path, labels: Path | None, options: ScanOptions, channel_names: Sequence[str] = ()) -> LabelledVolume:
    """Read an image and its labels, which must lie on the same voxels. Raises DataError that names the file."""
    volume = read_nifti(image, options, channel_names)
    if labels is None:
        return LabelledVolume(volume)
    mask = read_nifti_labels(labels, options)
    check_same_grid(volume, mask, image, labels)
    return LabelledVolume(volume, mask.voxels)


def _pair(source: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Return images and labels by stem, from the first pair of folders that has both, else from what there is."""
    if source.is_file():
        return {str(stem_of(source, SUFFIXES)): source}, {}
    usual = next((pair for pair in FOLDERS if all((source / name).is_dir() for name in pair)), None)
    if usual is None:
        folder = next((source / images for images, _ in FOLDERS if (source / images).is_dir()), source)
        return files_by_stem(folder, SUFFIXES), {}
    images, labels = (files_by_stem(source / name, SUFFIXES) for name in usual)
    alone = next((path for stem, path in labels.items() if stem not in images), None)
    if alone is not None:
        raise DataError(f"{alone} has no image of the same name in {source / usual[0]}", mend="Name image and labels alike.")
    return images, labels
