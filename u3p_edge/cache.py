"""A file of values that are kept from one run of the program to the next, and that may vanish at any time.

A file that is damaged or of another version counts as empty, and what cannot be written is forgotten: neither is an error.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import read_json, write_json

FOLDER = "U3P_EDGE_CACHE"
"""Environment variable that names the folder of all caches."""


@dataclass(frozen=True)
class JsonCache:
    """Values by key, in a JSON file.

    Args:
        file: may be missing.
        version: of the values; those of another one are not used.
        most: entries that are kept, the oldest go first; None for all.
    """

    file: Path
    version: int
    most: int | None = None

    def get(self, key: str) -> object:
        """Return the value of a key as the file holds it; None where there is none. The caller checks its form."""
        return self._read().get(key)

    def put(self, key: str, value: object) -> None:
        """Keep a value, as the newest."""
        # Read again: another process may have written meanwhile.
        others = [entry for entry in self._read().items() if entry[0] != key]
        newest = others if self.most is None else others[max(0, len(others) + 1 - self.most) :]
        try:
            # A list, since JSON objects are written in the order of their keys.
            write_json(self.file, {"version": self.version, "entries": [list(entry) for entry in (*newest, (key, value))]})
        except ArtifactError:
            return

    def _read(self) -> Mapping[str, object]:
        try:
            content = read_json(self.file) if self.file.is_file() else {}
        except (ArtifactError, OSError):
            return {}
        entries = content.get("entries")
        if content.get("version") != self.version or not isinstance(entries, list):
            return {}
        pairs = (entry for entry in entries if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str))
        return dict(pairs)


def default_folder() -> Path:
    """Return the folder that `U3P_EDGE_CACHE` names, else u3p_edge in the system's cache folder for the user."""
    given = os.environ.get(FOLDER)
    return Path(given) if given else _user_folder() / "u3p_edge"


def _user_folder() -> Path:
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"])
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"])
    try:
        home = Path.home()
    except RuntimeError:  # the user has no home folder
        return Path(tempfile.gettempdir())
    return home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
