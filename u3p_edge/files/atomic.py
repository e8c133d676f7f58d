"""Files that are written whole or not at all.

A file is written beside its final name and renamed at the end, so an interrupted command never leaves half a file under a
name that somebody would trust. What a kill leaves beside it has a name that begins with `PARTIAL`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from u3p_edge.errors import ArtifactError
from u3p_edge.files.json_toml import parse_json, read_text

PARTIAL = ".u3p-edge-partial-"
"""First part of the name of every file that is being written."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def atomic_path(final: Path, *, sync: bool = True) -> Iterator[Path]:
    """Give a path beside `final` to write to. It is renamed to `final` when the block ends well, and removed when it does not.

    Args:
        final: where the file will be.
        sync: wait until its bytes are on the disk, so that it is whole even after a power cut; without it, many files are
            written faster, and `sync_folders` waits for all of them at once.

    Raises:
        ArtifactError: the folder cannot be written or the disk is full; nothing is left behind.
    """
    make_folder(final.parent)
    # The suffix stays: writers such as Pillow and NumPy choose the format by it, or append it.
    try:
        handle, name = tempfile.mkstemp(dir=final.parent, prefix=PARTIAL, suffix=final.suffix)
    except OSError as error:
        raise cannot_write(final, error) from error
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        if sync:
            _sync(partial)
        # mkstemp makes files that only their owner may read; an artifact is as readable as any file the user makes.
        partial.chmod(0o666 & ~_umask())
        partial.replace(final)
    except OSError as error:
        raise cannot_write(final, error) from error
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(final: Path) -> Iterator[Path]:
    """Give an empty folder to fill. It is renamed to `final` when the block ends well, and removed when it does not.

    Args:
        final: where the folder will be; it must not exist, or be empty.

    Raises:
        ArtifactError: `final` holds files, it cannot be written, or the disk is full; nothing is left behind.
    """
    if final.is_dir() and any(final.iterdir()):
        raise ArtifactError(f"{final} is there and is not empty", mend="Give another --out folder, or remove it.")
    # Where a relative path ends in "..", the name is known only once it is resolved.
    home = final.resolve().parent
    make_folder(home)
    try:
        partial = Path(tempfile.mkdtemp(dir=home, prefix=PARTIAL))
    except OSError as error:
        raise cannot_write(final, error) from error
    try:
        yield partial
        sync_folders([partial, *(path for path in partial.rglob("*") if path.is_dir())])
        partial.chmod(0o777 & ~_umask())
        if final.is_dir():
            final.rmdir()
        partial.replace(final)
        sync_folders([home])
    except OSError as error:
        raise cannot_write(final, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def sync_folders(folders: Iterable[Path]) -> None:
    """Wait until everything that was written into these folders is on the disk. Raises ArtifactError."""
    listed = list(folders)
    if not hasattr(os, "sync"):  # Windows: the system writes when it chooses
        return
    if listed:
        os.sync()
    for folder in listed:
        try:
            handle = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise cannot_write(folder, error) from error
        try:
            os.fsync(handle)
        except OSError as error:
            raise cannot_write(folder, error) from error
        finally:
            os.close(handle)


def write_bytes(final: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises ArtifactError."""
    with atomic_path(final) as partial:
        partial.write_bytes(data)


def write_text(final: Path, text: str) -> None:
    """Write a UTF-8 text whole or not at all; a byte of a file name that is not UTF-8 is written as an escape, `\\udcff`.

    Raises ArtifactError.
    """
    write_bytes(final, text.encode("utf-8", errors="backslashreplace"))


def write_json(final: Path, value: object) -> None:
    """Write indented JSON whole or not at all. Raises ArtifactError, and ValueError for floats that are not finite."""
    write_text(final, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Mapping[str, Any]:
    """Read a JSON object. Raises ArtifactError that names the file."""
    if path.exists() and not path.is_file():
        raise ArtifactError(f"{path} is not a regular file")  # a pipe or a device may have no end
    try:
        value = parse_json(read_text(path))
    except FileNotFoundError as error:
        raise ArtifactError(f"{path} does not exist") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is not readable JSON ({error})") from error
    if not isinstance(value, dict):
        raise ArtifactError(f"{path} does not hold a JSON object")
    return value


def make_folder(folder: Path) -> None:
    """Create a folder and its parents. Raises ArtifactError when that is not allowed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(folder, error) from error


def cannot_write(path: Path, error: OSError) -> ArtifactError:
    """Return the error for a file or folder that the system refuses to write."""
    reason = error.strerror or type(error).__name__
    mend = "Free space, or give another --out folder" if error.errno in _FULL else "Give another --out folder"
    return ArtifactError(f"{path} cannot be written: {reason}", mend=f"{mend}; nothing was left there.")


def _umask() -> int:
    """Return which rights new files of this process lack."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
