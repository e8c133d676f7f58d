"""The folder in which files wait until they are verified, and where an interrupted export finds them again.

The folder's name is the key of what decides its content (model, data, options, version). Each file in it is written whole or
not at all, with its sha256 beside it: a file that was damaged meanwhile is made again. A marker file says that a folder is a
staging folder of this package.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.errors import ArtifactError
from u3p_edge.files.atomic import PARTIAL, make_folder, write_bytes, write_text
from u3p_edge.manifest import sha256_of
from u3p_edge.progress import Progress, silent

PREFIX = ".u3p-edge-staging-"
MARKER = "u3p-edge-staging"
"""Name of the file that marks the folder around it as a staging folder of this package."""

DIGEST = ".sha256"
"""After a file's name: the file that holds its sha256."""


@dataclass(frozen=True)
class Staging:
    """A folder of finished but not yet verified files.

    Args:
        folder: that holds them.
        progress: is given a note of each damaged file.
    """

    folder: Path
    progress: Progress = silent

    def file(self, name: str, make: Callable[[], bytes]) -> Path:
        """Return the path of a file, which is made only if an earlier, interrupted run has not left it whole."""
        path, digest = self.folder / name, self.folder / (name + DIGEST)
        if os.path.lexists(path):
            if path.is_file() and digest.is_file() and digest.read_bytes() == sha256_of(path).encode():
                return path
            self.progress.note(f"{path} was damaged, so it is made anew.")
            _remove(path)
        data = make()
        # Written first, so that a file that exists always has its sha256.
        write_text(digest, hashlib.sha256(data).hexdigest())
        write_bytes(path, data)
        return path

    def part(self, name: str) -> Staging:
        """Make a folder of further files within this one."""
        make_folder(self.folder / name)
        return Staging(self.folder / name, self.progress)


def open_staging(run: Path, *parts: str, fresh: bool = False, progress: Progress = silent) -> Staging:
    """Open the staging folder for these parts of a key, and remove those of other keys.

    Args:
        run: folder around it, held by this process.
        parts: of the key.
        fresh: drop the finished files of this key too.
        progress: is given a note of each damaged file.

    Raises:
        ArtifactError: a folder of that name is not a staging folder, or cannot be written.
    """
    folder = staging_folder(run, *parts)
    for other in run.glob(PREFIX + "*"):
        if _is_ours(other) and (other != folder or fresh):
            drop(other)
    make_folder(folder)
    if not _is_ours(folder):
        raise ArtifactError(f"{folder} holds files that are not ours", mend="Move them away, or give another --out folder.")
    write_text(folder / MARKER, "Files of an export that is not finished; the next export into this folder removes them.\n")
    return Staging(folder, progress)


def staging_folder(run: Path, *parts: str) -> Path:
    """Return the path of the staging folder for these parts of a key."""
    return run / (PREFIX + key_of(*parts)[:16])


def drop(folder: Path) -> None:
    """Remove a staging folder, its marker last: if this is interrupted, the rest is still recognised as a staging folder."""
    if not _is_ours(folder):
        return
    for path in folder.iterdir():
        if path.name != MARKER:
            _remove(path)
    if all(path.name == MARKER for path in folder.iterdir()):
        shutil.rmtree(folder, ignore_errors=True)


def key_of(*parts: str) -> str:
    """Hexadecimal sha256 of texts, in order."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _is_ours(folder: Path) -> bool:
    """Whether a folder has the marker, or holds nothing yet but what a kill left half-written."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return (folder / MARKER).is_file() or all(path.name.startswith(PARTIAL) for path in folder.iterdir())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
