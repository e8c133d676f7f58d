"""Where files wait until they are verified; what an interrupted export finds again.

The folder's name is the key of what decides its content (model, data, options, version). Each file in it is written whole or
not at all, and beside it lies its sha256: what was damaged meanwhile is made anew. A folder is ours if our marker lies in it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.artifact import PARTIAL, make_folder, sha256_of, write_bytes, write_text
from u3p_edge.errors import ArtifactError
from u3p_edge.run_folder import Say, silent

PREFIX = ".u3p-edge-staging-"
MARKER = "u3p-edge-staging"
"""Name of the file that says that the folder around it is ours."""

DIGEST = ".sha256"
"""After a file's name: the file that holds its sha256."""


@dataclass(frozen=True)
class Staging:
    """A folder of finished but not yet verified files.

    Args:
        folder: where they lie.
        say: is given a sentence about each file that was found damaged.
    """

    folder: Path
    say: Say = silent

    def file(self, name: str, make: Callable[[], bytes]) -> Path:
        """The path of a file, made only if an earlier, interrupted run has not left it whole already."""
        path, digest = self.folder / name, self.folder / (name + DIGEST)
        if os.path.lexists(path):
            if path.is_file() and digest.is_file() and digest.read_bytes() == sha256_of(path).encode():
                return path
            self.say(f"{path} was damaged, so it is made anew.")
            _remove(path)
        data = make()
        # First, so that a file that lies there has its sha256.
        write_text(digest, hashlib.sha256(data).hexdigest())
        write_bytes(path, data)
        return path

    def part(self, name: str) -> Staging:
        """A folder of further files within this one."""
        make_folder(self.folder / name)
        return Staging(self.folder / name, self.say)


def open_staging(run: Path, *parts: str, fresh: bool = False, say: Say = silent) -> Staging:
    """The staging folder for these parts of a key; those of other keys go.

    Args:
        run: folder around it, held by this process.
        parts: of the key.
        fresh: drop the finished files of this key too.
        say: is given a sentence about each damaged file.

    Raises:
        ArtifactError: a folder of that name is somebody else's, or cannot be written.
    """
    folder = staging_folder(run, *parts)
    for other in run.glob(PREFIX + "*"):
        if _is_ours(other) and (other != folder or fresh):
            drop(other)
    make_folder(folder)
    if not _is_ours(folder):
        raise ArtifactError(f"{folder} holds files that are not ours", mend="Move them away, or give another --out folder.")
    write_text(folder / MARKER, "Files of an export that is not finished; the next export into this folder removes them.\n")
    return Staging(folder, say)


def staging_folder(run: Path, *parts: str) -> Path:
    """Where the staging folder for these parts of a key lies."""
    return run / (PREFIX + key_of(*parts)[:16])


def drop(folder: Path) -> None:
    """Remove a staging folder, its marker last: whenever this is interrupted, the rest is still known as ours."""
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
    """Whether a folder has our marker, or nothing in it yet but what a kill left half-written."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    return (folder / MARKER).is_file() or all(path.name.startswith(PARTIAL) for path in folder.iterdir())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
