"""The folder in which files wait until they are verified, and where an interrupted export finds them again.

The folder's name is the key of what decides its content (model, data, options, version). Each file in it is written whole or
not at all, with its sha256 beside it: a file that was damaged meanwhile is made again. A marker file says that a folder is a
staging folder of this package.

What an export decides (a pruning plan, the forms of rewrites, an epoch) is kept as JSON values beside the files. They are what
`export.lock.json` holds, and an export that replays a lock takes them from there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.atomic import PARTIAL, atomic_path, make_folder, write_bytes, write_text
from u3p_edge.manifest import sha256_of
from u3p_edge.progress import Progress, silent

PREFIX = ".u3p-edge-staging-"
MARKER = "u3p-edge-staging"
"""Name of the file that marks the folder around it as a staging folder of this package."""

DIGEST = ".sha256"
"""After a file's name: the file that holds its sha256."""

DECISION = ".decision.json"
"""After a decision's name: the file that holds its value."""


@dataclass(frozen=True)
class Staging:
    """A folder of finished but not yet verified files.

    Args:
        folder: that holds them.
        progress: is given a note of each damaged file.
        lock: the decisions that this export replays, by name; None where it decides itself.
        part_of: what stands before the names of decisions made here, e.g. "prune0/".
    """

    folder: Path
    progress: Progress = silent
    lock: Mapping[str, Any] | None = None
    part_of: str = ""

    def file(self, name: str, make: Callable[[], bytes]) -> Path:
        """Return the path of a file, which is made only if an earlier, interrupted run has not left it whole."""
        path = self.folder / name
        if not self._keeps(path):
            data = make()
            # Written first, so that a file that exists always has its sha256.
            write_text(_digest_file(path), hashlib.sha256(data).hexdigest())
            write_bytes(path, data)
        return path

    def array(self, name: str, make: Callable[[], npt.NDArray[Any]]) -> Path:
        """Return the path of a .npy file as `file` does; the array may be larger than memory."""
        path = self.folder / name
        if not self._keeps(path):
            array = make()
            with atomic_path(path) as partial:
                np.save(partial, array, allow_pickle=False)
                write_text(_digest_file(path), sha256_of(partial))
        return path

    def _keeps(self, path: Path) -> bool:
        """Return whether a file is there and whole; one that is damaged is removed."""
        if not os.path.lexists(path):
            return False
        digest = _digest_file(path)
        if path.is_file() and digest.is_file() and digest.read_bytes() == sha256_of(path).encode():
            return True
        self.progress.note(f"{path} was damaged, so it is made anew.")
        _remove(path)
        return False

    def part(self, name: str) -> Staging:
        """Make a folder of further files within this one."""
        make_folder(self.folder / name)
        return Staging(self.folder / name, self.progress, self.lock, f"{self.part_of}{name}/")

    def locked(self, name: str) -> Any:
        """Return the value that the lock has for a decision; None where this export decides itself.

        Raises:
            ConfigError: the lock lacks it.
        """
        if self.lock is None:
            return None
        if self.lock.get(self.part_of + name) is None:
            raise ConfigError(
                f"the lock has no decision {self.part_of + name!r}, which this export needs",
                mend="Export without --locked; that writes a new lock.",
            )
        return self.lock[self.part_of + name]

    def decide(self, name: str, make: Callable[[], Any]) -> Any:
        """Return a decision: the lock's, else that of an interrupted export, else what `make` gives.

        Args:
            name: of the decision.
            make: returns a value that JSON can hold, other than None.

        Raises:
            ConfigError: there is a lock, and it lacks this decision.
        """
        locked = self.locked(name)
        path = self.file(name + DECISION, lambda: json.dumps(make() if locked is None else locked).encode())
        return json.loads(path.read_text())

    def decisions(self) -> dict[str, Any]:
        """Return all decisions that were made here and in the parts of this folder, by name."""
        paths = sorted(self.folder.rglob(f"*{DECISION}"))
        names = (path.relative_to(self.folder).as_posix().removesuffix(DECISION) for path in paths)
        return {name: json.loads(path.read_text()) for name, path in zip(names, paths, strict=True)}


def open_staging(
    run: Path, *parts: str, fresh: bool = False, progress: Progress = silent, lock: Mapping[str, Any] | None = None
) -> Staging:
    """Open the staging folder for these parts of a key, and remove those of other keys.

    Args:
        run: folder around it, held by this process.
        parts: of the key.
        fresh: drop the finished files of this key too.
        progress: is given a note of each damaged file.
        lock: the decisions that the export replays; None where it decides itself.

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
    return Staging(folder, progress, lock)


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


def _digest_file(path: Path) -> Path:
    return path.with_name(path.name + DIGEST)


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
