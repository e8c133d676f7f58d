"""The licence of a data folder, where the folder records one."""

from __future__ import annotations

from pathlib import Path

from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import read_json

DESCRIPTION = "manifest.json"
"""File that may describe a data folder; its text `license`, or `licence`, is an SPDX identifier or the name of a licence."""


def read_license(folder: Path) -> str:
    """Return the licence that a data folder records; empty where it records none, or where its description is not readable."""
    try:
        description = read_json(folder / DESCRIPTION)
    except ArtifactError:  # no description at all, or a file of another program
        return ""
    texts = (description.get(key) for key in ("license", "licence"))
    return next((text.strip() for text in texts if isinstance(text, str)), "")
