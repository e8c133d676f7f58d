"""List the files of a folder by stem, and give cases the patients that their names show, and splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from unicodedata import normalize

from u3p_edge.data.groups import group_by_name
from u3p_edge.data.split import draw_splits
from u3p_edge.errors import DataError
from u3p_edge.scans.case import Case, CaseList, LabelledVolume
from u3p_edge.scans.options import ScanOptions

FOLDERS = (("images", "labels"), ("images", "masks"), ("imagesTr", "labelsTr"))
"""Names of the folders of images and of labels."""


def files_by_stem(folder: Path, suffixes: Sequence[str]) -> dict[str, Path]:
    """Return the files of a folder that have one of the suffixes, by name without it, sorted; hidden files are left out.

    Names are in Unicode's composed form (NFC), so that two that look alike are one.

    Args:
        folder: one that is missing has no files.
        suffixes: in lower case, a longer one (".nii.gz") before one that it ends in; upper case is read too.

    Raises:
        DataError: two files have the same stem.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        stem = stem_of(path, suffixes)
        if stem is None or path.name.startswith(".") or not path.is_file():
            continue
        stem = normalize("NFC", stem)
        if stem in files:
            raise DataError(f"{files[stem]} and {path.name} are two files of one scan", mend="Keep one of them.")
        files[stem] = path
    return files


def stem_of(path: Path, suffixes: Sequence[str]) -> str | None:
    """Return a file's name without the first of the suffixes that it has; None where it has none.

    >>> stem_of(Path("p1.T1.nii.gz"), (".nii.gz", ".nii"))
    'p1.T1'
    """
    name = path.name
    return next((name[: -len(s)] for s in suffixes if name.lower().endswith(s) and len(name) > len(s)), None)


def holds_files(source: Path, suffixes: Sequence[str]) -> bool:
    """Return whether a path is a file with one of the suffixes, or a folder that holds some, or whose `images` folder does."""
    if source.is_file():
        return stem_of(source, suffixes) is not None
    folders = (source, *(source / images for images, _ in FOLDERS))
    return any(stem_of(path, suffixes) for folder in folders if folder.is_dir() for path in folder.iterdir())


def pair_files(
    source: Path, suffixes: Sequence[str], labels: Path | None = None
) -> tuple[Mapping[str, Path], Mapping[str, Path]]:
    """Return images and labels by stem, from the first pair of `FOLDERS` that is there, else from what there is.

    Args:
        source: a file or folder.
        suffixes: as for `files_by_stem`.
        labels: of a source that is a file; None for none.

    Raises:
        DataError: labels without an image, or two files of one stem.
    """
    if source.is_file():
        stem = normalize("NFC", stem_of(source, suffixes) or source.stem)
        return {stem: source}, {} if labels is None else {stem: labels}
    usual = next((pair for pair in FOLDERS if all((source / name).is_dir() for name in pair)), None)
    if usual is None:
        folder = next((source / images for images, _ in FOLDERS if (source / images).is_dir()), source)
        return files_by_stem(folder, suffixes), {}
    images, masks = (files_by_stem(source / name, suffixes) for name in usual)
    alone = next((path for stem, path in masks.items() if stem not in images), None)
    if alone is not None:
        raise DataError(f"{alone} has no image of the same name in {source / usual[0]}", mend="Name image and labels alike.")
    return images, masks


def list_pairs(
    source: Path,
    suffixes: Sequence[str],
    options: ScanOptions,
    read: Callable[[Path, Path | None, ScanOptions], LabelledVolume],
) -> CaseList:
    """List the scans of a file or folder, one file a scan and one for its labels; those without labels too.

    Args:
        source, suffixes: as for `pair_files`.
        options: how scans are read; its `labels` are those of a source that is a file.
        read: reads an image and its labels, None for none.

    Raises:
        DataError: as `pair_files`.
    """
    images, labels = pair_files(source, suffixes, options.labels)
    patients = patients_of(list(images))
    return CaseList(
        tuple(
            Case(stem, patients[stem], stem in labels, partial(read, image, labels.get(stem), options))
            for stem, image in images.items()
        )
    )


def patients_of(names: Sequence[str]) -> Mapping[str, str]:
    """Return the patient of each case: by its name where the names show which are of one patient, else the case itself.

    >>> patients_of(["patient1_frame01", "patient1_frame12", "patient2_frame01", "patient3_frame01"])["patient1_frame12"]
    'patient1'
    """
    groups = group_by_name(names).groups
    return {name: groups.get(name, name) for name in names}


def assign_splits(cases: Sequence[Case], test: Sequence[Case]) -> tuple[Case, ...]:
    """Return all cases: where some are for testing, the others are drawn into train and val, a patient as a whole.

    Without test cases the splits stay open; a data folder draws them by its own seed.
    """
    if not test:
        return tuple(cases)
    drawn = draw_splits((case.patient for case in cases), seed=0)
    others = (replace(case, split="val" if drawn[case.patient] == "val" else "train") for case in cases)
    return (*others, *(replace(case, split="test") for case in test))
