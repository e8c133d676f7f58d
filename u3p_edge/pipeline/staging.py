"""Where files wait until they are verified; what an interrupted export finds again.

The folder's name is the key of what decides its content (model, data, options, version), and each file in it is written
whole or not at all: a file that is there is finished.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.artifact import make_folder, write_bytes

PREFIX = ".staging-"


@dataclass(frozen=True)
class Staging:
    """A folder of finished but not yet verified files."""

    folder: Path

    def file(self, name: str, make: Callable[[], bytes]) -> Path:
        """The path of a file, made only if an earlier, interrupted run has not made it already."""
        path = self.folder / name
        if not path.exists():
            write_bytes(path, make())
        return path


def open_staging(run: Path, *parts: str, fresh: bool = False) -> Staging:
    """The staging folder for these parts of a key; those of other keys, and what a killed export left half-written, go.

    With `fresh`, so do the finished files of this key.
    """
    folder = run / (PREFIX + key_of(*parts)[:16])
    for partial in run.glob(".*.partial.*"):
        partial.unlink(missing_ok=True)
    for other in run.glob(PREFIX + "*"):
        if other != folder or fresh:
            shutil.rmtree(other, ignore_errors=True)
    make_folder(folder)
    return Staging(folder)


def key_of(*parts: str) -> str:
    """Hexadecimal sha256 of texts, in order."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
