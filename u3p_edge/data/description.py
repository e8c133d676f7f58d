"""What a data folder records of itself: its licence and the names of its classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import read_json

DESCRIPTION = "manifest.json"
"""File that may describe a data folder. Its text `license`, or `licence`, is an SPDX identifier or the name of a licence; its
list `class_names` has one name for each class, background first; `multi_label` is true where the classes of masks may overlap,
and the values of masks are then sets of classes (`u3p_edge.label_values`)."""


def read_license(folder: Path) -> str:
    """Return the licence that a data folder records; empty where it records none, or where its description is not readable."""
    return license_of(_read(folder))


def license_of(description: Mapping[str, Any]) -> str:
    """Return the licence that a description names, as many data sets' JSON does; empty where it names none."""
    texts = (description.get(key) for key in ("license", "licence"))
    return next((text.strip() for text in texts if isinstance(text, str)), "")


def read_class_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the classes that a data folder records, background first; empty where it records none."""
    names = _read(folder).get("class_names")
    return tuple(names) if isinstance(names, list) and all(isinstance(name, str) for name in names) else ()


def has_overlap(folder: Path) -> bool:
    """Return whether a data folder records that the classes of its masks may overlap; a single class cannot."""
    return _read(folder).get("multi_label") is True and len(read_class_names(folder)) != 2


def describe_folder(class_names: Sequence[str], license: str, multi_label: bool = False) -> dict[str, Any]:
    """Return the JSON of a description; what is empty is left out.

    >>> describe_folder(("background", "liver"), "")
    {'class_names': ['background', 'liver']}
    """
    described = {"class_names": list(class_names), "license": license, "multi_label": multi_label}
    return {key: value for key, value in described.items() if value}


def _read(folder: Path) -> Mapping[str, Any]:
    try:
        return read_json(folder / DESCRIPTION)
    except ArtifactError:  # no description at all, or a file of another program
        return {}
