"""The images that are part of the package: nuclei in micrographs of many experiments (see calibration/README.md)."""

from __future__ import annotations

from pathlib import Path

from u3p_edge.errors import DataError


def embedded_folder() -> Path:
    """Return the data folder calibration/nuclei, in a checkout or in an installed copy.

    Raises:
        DataError: this copy has none.
    """
    package = Path(__file__).resolve().parents[1]
    for parent in (package, package.parent):
        folder = parent / "calibration" / "nuclei"
        if (folder / "manifest.json").is_file():
            return folder
    raise DataError("this copy of u3p_edge lacks its embedded images", mend="Install it anew, or give --data FOLDER.")
