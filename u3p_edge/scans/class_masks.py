"""Folders with one binary mask file for each class of an image, as cases: the files become one mask of class indices.

    FOLDER/images/p1.png    FOLDER/masks/liver/p1.png     FOLDER/masks/tumour/p1.png
    FOLDER/images/p1.png    FOLDER/masks/p1_liver.png     FOLDER/masks/p1_tumour.png

A class that an image has no file of is not in it. Files of one image must not overlap unless the user says which class goes
before the other, or that a pixel may have several. Then the mask has a bit for each class (`u3p_edge.label_values`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from unicodedata import normalize

import numpy as np

from u3p_edge.data.classes import distinct_values
from u3p_edge.data.formats import SUFFIXES
from u3p_edge.data.labels import HIGHEST_CLASS
from u3p_edge.data.load import check_sizes
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.label_values import join_classes
from u3p_edge.scans.case import Case, CaseList, LabelledVolume
from u3p_edge.scans.listing import files_by_stem, patients_of
from u3p_edge.scans.options import ScanOptions
from u3p_edge.scans.overlap import keeps_overlap
from u3p_edge.scans.picture import read_picture, read_picture_labels
from u3p_edge.scans.volume import Voxels, to_volume

IMAGES, MASKS = "images", ("masks", "labels")

LAYOUT = "a folder with images/ and masks/CLASS/ of the same names, or with masks/NAME_CLASS.png"

BACKGROUND = "background"
"""A class of this name is what the others leave."""

_SEPARATORS = "_-."

ClassFiles = Mapping[str, Mapping[str, Path]]
"""Mask files by class, then by the stem of their image."""


def recognize(source: Path) -> bool:
    """Return whether a folder has mask files by class: in folders of masks/, or all named as an image and something more."""
    folder = _mask_folder(source)
    if folder is None or not (source / IMAGES).is_dir():
        return False
    if any(files_by_stem(one, SUFFIXES) for one in _folders(folder)):
        return True
    images, masks = (files_by_stem(one, SUFFIXES) for one in (source / IMAGES, folder))
    return bool(masks) and all(_split_name(stem, images) is not None for stem in masks)


def list_cases(source: Path, options: ScanOptions) -> CaseList:
    """List the images; those without any mask file too.

    Raises:
        DataError: a mask file without an image, or more classes than there can be. ConfigError: `classes` are not those found.
    """
    images = files_by_stem(source / IMAGES, SUFFIXES)
    by_class = _find_masks(source, images)
    classes = _order(sorted(name for name in by_class if name.casefold() != BACKGROUND), options.classes, source)
    patients = patients_of(list(images))
    multi_label = keeps_overlap(classes, options, source)

    def files_of(stem: str) -> tuple[Path | None, ...]:
        return tuple(by_class[name].get(stem) for name in classes)

    return CaseList(
        tuple(
            Case(stem, patients[stem], any(files_of(stem)), partial(fold_masks, image, files_of(stem), classes, options))
            for stem, image in images.items()
        ),
        class_names=(BACKGROUND, *classes),
        multi_label=multi_label,
    )


def fold_masks(image: Path, files: Sequence[Path | None], classes: Sequence[str], options: ScanOptions) -> LabelledVolume:
    """Read an image and fold its mask files into one.

    Args:
        image: of the case.
        files: of each of `classes`, None where there is none.
        classes: names; the first is class 1.
        options: its `overlap` says what becomes of a pixel of several classes; `max_voxels` limits each file.

    Returns:
        Class indices, or, where overlap is kept, values of `label_values.join_classes`.

    Raises:
        DataError: a file that cannot be read, that is not binary, or that overlaps another; the message names it.
    """
    pixels = read_picture(image, options.max_voxels)
    present = {k: path for k, path in enumerate(files, start=1) if path is not None}
    masks = {k: _read_binary(path, options.max_voxels) for k, path in present.items()}
    for k, path in present.items():
        check_sizes(image, pixels.shape[:2], path, masks[k].shape)
    if options.overlap == "error":
        _check_overlap(masks, present, classes)
    if keeps_overlap(classes, options, image):
        nothing = np.zeros(pixels.shape[:2], bool)
        labels = join_classes([masks.get(k, nothing) for k, _ in enumerate(classes, start=1)])
        return LabelledVolume(to_volume(pixels), labels[None] if present else None)
    labels = np.zeros(pixels.shape[:2], np.uint8)
    order = list(masks) if options.overlap == "last" else list(reversed(masks))
    for k in order:
        labels[masks[k]] = k
    return LabelledVolume(to_volume(pixels), labels[None] if present else None)


def _mask_folder(source: Path) -> Path | None:
    return next((source / name for name in MASKS if (source / name).is_dir()), None)


def _folders(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith((".", "__"))]


def _find_masks(source: Path, images: Mapping[str, Path]) -> ClassFiles:
    folder = _mask_folder(source)
    if folder is None:
        return {}
    by_class = {normalize("NFC", one.name): files_by_stem(one, SUFFIXES) for one in _folders(folder)}
    alone = [path for files in by_class.values() for stem, path in files.items() if stem not in images]
    for stem, path in () if any(by_class.values()) else files_by_stem(folder, SUFFIXES).items():
        parts = _split_name(stem, images)
        if parts is None:
            alone.append(path)
        else:
            by_class.setdefault(parts[1], {})[parts[0]] = path
    if alone:
        raise DataError(f"{alone[0]} has no image of its name in {source / IMAGES}", mend="Name it as its image and the class.")
    return {name: files for name, files in by_class.items() if files}


def _split_name(stem: str, images: Mapping[str, Path]) -> tuple[str, str] | None:
    """Return the longest image's stem that a mask's begins with, and the class after it; None where there is none."""
    cuts = (i for i in range(len(stem) - 2, 0, -1) if stem[i] in _SEPARATORS)
    return next(((stem[:i], stem[i + 1 :]) for i in cuts if stem[:i] in images), None)


def _order(classes: Sequence[str], wanted: Sequence[str], source: Path) -> tuple[str, ...]:
    """Return the classes as the user orders them, else by name."""
    if len(classes) > HIGHEST_CLASS:
        raise DataError(f"the masks of {source} name {len(classes)} classes, more than {HIGHEST_CLASS}", mend="Merge some.")
    if wanted and sorted(wanted) != sorted(classes):
        raise ConfigError(f"--classes {','.join(wanted)} are not those of {source}", mend=f"They are {','.join(classes)}.")
    return tuple(wanted or classes)


def _read_binary(path: Path, max_voxels: int) -> Voxels:
    """Return where a mask file of one class is not 0: bool [H, W]."""
    values = read_picture_labels(path, max_voxels)
    present = distinct_values(values)
    if len(present) > 2 or (len(present) == 2 and present[0] != 0):
        shown = ", ".join(map(str, present[:8]))
        raise DataError(
            f"the mask {path} has {len(present)} values ({shown}), and one of a class has 0 and another",
            mend="Save it as a binary mask. One mask of class indices for each image needs no import.",
        )
    return np.asarray(values != 0)


def _check_overlap(masks: Mapping[int, Voxels], files: Mapping[int, Path], classes: Sequence[str]) -> None:
    """Raise DataError for two masks with a pixel in common: names both files and classes, and counts the pixels."""
    owner = np.zeros(next(iter(masks.values())).shape if masks else (0, 0), np.uint8)
    for k, mask in masks.items():
        both = mask & (owner > 0)
        if both.any():
            other = int(owner[both][0])
            pixels = int((both & (owner == other)).sum())
            first, last = classes[other - 1], classes[k - 1]
            raise DataError(
                f"{files[other]} and {files[k]} overlap in {pixels:,} pixel{'s' * (pixels > 1)}, and a pixel has one class",
                mend=f"--overlap first makes it {first!r}, --overlap last {last!r}, --overlap keep both. "
                "--classes orders them.",
            )
        owner[mask] = k
