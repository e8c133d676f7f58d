"""The images that are part of the package: axial MNI152 slices, a demonstration (see calibration/README.md)."""

from __future__ import annotations

from pathlib import Path

from u3p_edge.errors import DataError

NAMES = ("background", "CSF", "grey matter", "white matter")
"""Classes of the embedded masks, by index."""


def embedded_folder() -> Path:
    """Return the data folder calibration/mni152, in a checkout or in an installed copy.

    Raises:
        DataError: this copy has none.
    """
    package = Path(__file__).resolve().parents[1]
    for parent in (package, package.parent):
        folder = parent / "calibration" / "mni152"
        if (folder / "manifest.json").is_file():
            return folder
    raise DataError("this copy of u3p_edge lacks its embedded images", mend="Install it anew, or give --data FOLDER.")
