"""What `dataset.json` of nnU-Net and of the Medical Segmentation Decathlon (MSD) says of classes and channels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from u3p_edge.data.labels import HIGHEST_CLASS
from u3p_edge.errors import ArtifactError, DataError
from u3p_edge.files.atomic import read_json

FILE = "dataset.json"

_DIGITS = 4
"""Most digits of the number of a class or a channel."""

IGNORE_NAME = "ignore"
"""The class of nnU-Net whose voxels are not scored."""


def read_dataset(folder: Path) -> Mapping[str, Any]:
    """Return the content of a folder's dataset.json. Raises DataError."""
    try:
        return read_json(folder / FILE)
    except ArtifactError as error:
        raise DataError(error.symptom, mend="Copy it again from where the data came.") from error


def has_dataset(folder: Path, key: str) -> bool:
    """Return whether a folder has a dataset.json with a key; one that is not readable has every key, so that it is reported."""
    if not (folder / FILE).is_file():
        return False
    try:
        return key in read_dataset(folder)
    except DataError:
        return True


def channel_names(dataset: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """Return the names of channels from {"0": "T2", "1": "ADC"}, in the order of their numbers.

    Raises:
        DataError: another form.
    """
    listed = dataset.get(key)
    if not isinstance(listed, dict) or not listed or not all(map(_is_number, listed)):
        raise DataError(f'{FILE}: "{key}" does not list channels by number', mend='It is for example {"0": "T2", "1": "ADC"}.')
    return tuple(str(listed[number]) for number in sorted(listed, key=int))


def class_names(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes, background first; a class without a name is "class k".

    nnU-Net writes {"liver": 1} and MSD {"1": "liver"}. nnU-Net's regions, which are lists of classes, and its class "ignore"
    are no classes of their own.

    Raises:
        DataError: another form, or a class outside 0 to 255.

    >>> class_names({"labels": {"background": 0, "liver": 1, "ignore": 2}})
    ('background', 'liver')
    >>> class_names({"labels": {"0": "background", "2": "tumour"}})
    ('background', 'class 1', 'tumour')
    """
    names = {number: name for number, name in _labels(dataset).items() if name.casefold() != IGNORE_NAME}
    if not names:
        return ()
    return tuple(names.get(number, f"class {number}" if number else "background") for number in range(max(names) + 1))


def ignored_class(dataset: Mapping[str, Any]) -> int | None:
    """Return the value of labels that are to be ignored; None where there is none. Raises DataError as `class_names`."""
    return next((number for number, name in _labels(dataset).items() if name.casefold() == IGNORE_NAME), None)


def _labels(dataset: Mapping[str, Any]) -> dict[int, str]:
    """Return names of classes by number."""
    listed = dataset.get("labels")
    error = DataError(f'{FILE}: "labels" does not name classes', mend='It is for example {"background": 0, "liver": 1}.')
    if not isinstance(listed, dict):
        raise error
    names: dict[int, str] = {}
    for key, value in listed.items():
        if isinstance(value, list):  # a region: several classes that are scored together
            continue
        number, name = (value, key) if isinstance(value, int) else (int(key) if _is_number(key) else -1, value)
        if not isinstance(name, str) or isinstance(number, bool) or not 0 <= number <= HIGHEST_CLASS + 1:
            raise error
        names[number] = name
    return names


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS
