"""Errors about files: what cannot be opened, and the file's name before what is wrong with its values."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator
from pathlib import Path

from u3p_edge.errors import DataError


@contextlib.contextmanager
def name_file(path: Path) -> Iterator[None]:
    """Raise any DataError of the block with `path` before its symptom."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error.symptom}", mend=error.mend) from error


def check_regular(path: Path) -> None:
    """Raise DataError for what is not a regular file: reading from a pipe could wait without end."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except OSError as error:
        raise unreadable(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise DataError(f"{path} is a folder, not an image", mend="Name the image files in it.")
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is a pipe or a device, not a file", mend="Save the image into a file first.")
    if status.st_size == 0:
        raise DataError(f"{path} is an empty file (0 bytes)", mend="Copy it again from where it came.")


def unreadable(path: Path, error: OSError) -> DataError:
    """Return the error for a file that the system does not let read."""
    return DataError(f"{path} cannot be read: {error.strerror}", mend="Check the file's permissions and its disk.")
