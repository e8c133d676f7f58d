"""The volumes of a data folder, as `data import` records them in source.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from u3p_edge.config.metadata import Axis
from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import read_json

SOURCE_FILE = "source.json"
"""File of an imported data folder: its `axis` is that of all slices, and each of `cases` is a volume."""


def read_axis(root: Path) -> Axis | None:
    """Return the axis of the slices of a data folder; None where it records none."""
    recorded = _read(root).get("axis")
    return next((axis for axis in get_args(Axis) if axis == recorded), None)


def _read(root: Path) -> Mapping[str, Any]:
    try:
        return read_json(root / SOURCE_FILE)
    except ArtifactError:  # none at all, or a file of another program
        return {}
