"""Data sets of the Medical Segmentation Decathlon (MSD), as cases.

    FOLDER/dataset.json              modality, labels, and training: [{"image": "./imagesTr/a.nii.gz", "label": ...}, ...]
    FOLDER/imagesTr/<case>.nii.gz    all modalities in one file of four dimensions
    FOLDER/labelsTr/<case>.nii.gz

Test images have no labels and are left out. Antonelli et al., "The Medical Segmentation Decathlon", Nature Communications 2022.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from u3p_edge.data.description import license_of
from u3p_edge.errors import DataError
from u3p_edge.scans.case import Case, CaseList
from u3p_edge.scans.dataset_json import FILE, channel_names, class_names, has_dataset, read_dataset
from u3p_edge.scans.listing import patients_of, stem_of
from u3p_edge.scans.nifti import read_case
from u3p_edge.scans.nifti_file import SUFFIXES
from u3p_edge.scans.options import ScanOptions

LAYOUT = f"a folder with {FILE} (modality, training), imagesTr/ and labelsTr/"


def recognize(source: Path) -> bool:
    """Return whether a folder is a data set of MSD."""
    return has_dataset(source, "training")


def list_cases(source: Path, options: ScanOptions) -> CaseList:
    """List the training cases. Raises DataError."""
    dataset = read_dataset(source)
    names = channel_names(dataset, "modality")
    training = dataset.get("training")
    if not isinstance(training, list) or not training:
        raise DataError(f'{source / FILE}: "training" does not list cases', mend="Copy it again from where the data came.")
    pairs = [(_file_of(source, entry, "image"), _file_of(source, entry, "label")) for entry in training]
    stems = [str(stem_of(labels, SUFFIXES)) for _, labels in pairs]
    patients = patients_of(stems)
    cases = (
        Case(stem, patients[stem], True, partial(read_case, image, labels, options, names))
        for stem, (image, labels) in zip(stems, pairs, strict=True)
    )
    return CaseList(tuple(cases), class_names(dataset), license_of(dataset))


def _file_of(source: Path, entry: Any, key: str) -> Path:
    """Return the file that an entry of `training` names; it lies inside the data set's folder."""
    name = entry.get(key) if isinstance(entry, dict) else None
    if not isinstance(name, str):
        raise DataError(f'{source / FILE}: a case of "training" names no {key}', mend="Each has an image and a label.")
    path = source / name
    if stem_of(path, SUFFIXES) is None or not path.resolve().is_relative_to(source.resolve()):
        raise DataError(f"{source / FILE} names {name!r}, which is no NIfTI file in its folder", mend="Correct the name.")
    return path
