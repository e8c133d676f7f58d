"""The volumes of a data folder: which images are the slices of one volume, in their order.

`data import` records it in source.json. Elsewhere the names of the images must show it: `p1_s000`, `p1_s001` and so on.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args
from unicodedata import normalize

from u3p_edge.config.metadata import Axis
from u3p_edge.data.formats import SUFFIXES
from u3p_edge.errors import ArtifactError, DataError
from u3p_edge.files.atomic import read_json
from u3p_edge.metrics import Spacing

SOURCE_FILE = "source.json"
"""File of an imported data folder: its `axis` is that of all slices, and each of `cases` is a volume."""

IMAGES = "images"
"""Folder of the images within a data folder."""

Cases = Mapping[str, Mapping[str, Any]]
"""What source.json says of each case, by its name."""

_RECORDED = re.compile(r"(?P<volume>.+)_s(?P<number>\d{3,9})")
"""A name of `slice_names`."""

_NAMED = re.compile(r"(?P<volume>.+)[_\-. ](?:s|z|slice)[_\-. ]?(?P<number>\d{1,9})", re.IGNORECASE)
"""A name of anyone that shows a volume and the number of a slice."""

MOST_MM = 1e6
"""Beyond which a length is no spacing."""

_MEND = "A slice needs its neighbours, also where they have no label: import the volumes anew, or add the missing images."


def slice_names(case: str, slices: int) -> tuple[str, ...]:
    """Return the stems of a case's slices; a case of one slice has the case's name.

    >>> slice_names("p1", 2), slice_names("p2", 1)
    (('p1_s000', 'p1_s001'), ('p2',))
    """
    width = max(3, len(str(slices - 1)))
    return (case,) if slices == 1 else tuple(f"{case}_s{index:0{width}}" for index in range(slices))


def read_axis(root: Path) -> Axis | None:
    """Return the axis of the slices of a data folder; None where it records none."""
    recorded = _read(root).get("axis")
    return next((axis for axis in get_args(Axis) if axis == recorded), None)


def find_volumes(folder: Path) -> tuple[tuple[Path, ...], ...]:
    """Return the image files of each volume in a folder, in the order of the slices. Images of no volume are left out.

    Args:
        folder: of the images; where it is that of a data folder, source.json lies beside it.

    Raises:
        DataError: a slice is missing, or two images are the same slice; the message names it.
    """
    cases = _cases(folder)
    volumes: dict[str, dict[int, Path]] = defaultdict(dict)
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES):
        volume, number = _slice_of(normalize("NFC", path.stem), cases)
        if not volume:
            continue
        if number in volumes[volume]:
            raise DataError(f"{path} and {volumes[volume][number].name} are the same slice", mend="Remove or rename one.")
        volumes[volume][number] = path
    return tuple(_in_order(folder, name, slices, cases.get(name, {}).get("slices")) for name, slices in volumes.items())


def find_spacings(images: Sequence[Path]) -> tuple[Spacing | None, ...]:
    """Return the millimetres between rows and between columns of images; None where their folder does not record them."""
    cases = {folder: _cases(folder) for folder in dict.fromkeys(image.parent for image in images)}
    return tuple(_spacing_of(normalize("NFC", image.stem), cases[image.parent]) for image in images)


def _spacing_of(stem: str, cases: Cases) -> Spacing | None:
    volume, _ = _slice_of(stem, cases)
    lengths = cases.get(volume, {}).get("spacing_mm")
    if not isinstance(lengths, list) or len(lengths) != len(("slices", "rows", "columns")):
        return None
    if not all(isinstance(length, (int, float)) and 0 < length < MOST_MM for length in lengths):
        return None
    return float(lengths[1]), float(lengths[2])


def _slice_of(stem: str, cases: Cases) -> tuple[str, int]:
    """Return the volume and the number of a slice by its name; an empty volume for an image of none."""
    if cases.get(stem, {}).get("slices") == 1:
        return stem, 0
    match = (_RECORDED if cases else _NAMED).fullmatch(stem)
    if match is None or (cases and match["volume"] not in cases):
        return "", 0
    return match["volume"], int(match["number"])


def _in_order(folder: Path, volume: str, slices: Mapping[int, Path], count: int | None) -> tuple[Path, ...]:
    """Return a volume's files in order: of `count` slices from 0 on, or where it is None from the first to the last."""
    first, last = (min(slices), max(slices)) if count is None else (0, count - 1)
    missing = next((number for number in range(first, last + 1) if number not in slices), None)
    if missing is not None:
        raise DataError(f"{folder} lacks slice {missing} of {volume}, which has slices {first} to {last}", mend=_MEND)
    return tuple(slices[number] for number in range(first, last + 1))


def _cases(folder: Path) -> Cases:
    """Return what is recorded of each case whose images lie in a folder, its number of slices at least; empty for nothing."""
    cases = _read(folder.parent).get("cases") if folder.name == IMAGES else None
    return {
        normalize("NFC", case): entry
        for case, entry in (cases.items() if isinstance(cases, dict) else ())
        if isinstance(entry, dict) and isinstance(entry.get("slices"), int)
    }


def _read(root: Path) -> Mapping[str, Any]:
    try:
        return read_json(root / SOURCE_FILE)
    except ArtifactError:  # none at all, or a file of another program
        return {}
