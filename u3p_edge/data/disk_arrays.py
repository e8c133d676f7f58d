"""Arrays that are larger than the memory they may take: mapped from files, which the system caches as far as it has room.

A mapped array is an ordinary NumPy array. Its pages are the system's file cache and no memory of the process, so code that
takes a few images at a time runs in the same memory however many there are.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from u3p_edge.cache import FOLDER, default_folder
from u3p_edge.data.memory import allowed_bytes, fits_memory
from u3p_edge.errors import DataError
from u3p_edge.files.atomic import make_folder

NAME = "arrays"
"""Folder of the arrays, in the cache folder."""

MEND = f"Free space there, let {FOLDER} name a folder on a larger disk, or use fewer images or a smaller --size."

_ZEROS = bytes(1 << 20)


def arrays_folder() -> Path:
    """Return the folder in which arrays are kept."""
    return default_folder() / NAME


def empty_array(shape: Sequence[int], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """Return an array to be filled: in memory where it fits (see `memory.fits_memory`), else in a file without a name.

    The file is gone with the last reference to the array, also after a kill.

    Raises:
        DataError: it fits neither into memory nor on the disk of the cache folder.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if fits_memory(size):
        return np.empty(shape, dtype)
    folder = arrays_folder()
    make_folder(folder)
    check_disk(size, f"an array of {'x'.join(map(str, shape))} numbers", folder)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            _reserve(file, size)
            return np.asarray(np.memmap(file, dtype, "r+", shape=tuple(shape)))
    except OSError as error:
        raise cannot_keep(folder, error) from error


def open_array(path: Path) -> npt.NDArray[Any]:
    """Read a .npy file: into memory where it fits, else as a mapped array that cannot be written.

    Raises:
        OSError, ValueError: it cannot be read, or is no such file.
    """
    array: npt.NDArray[Any] = np.load(path, mmap_mode=None if fits_memory(path.stat().st_size) else "r", allow_pickle=False)
    return np.asarray(array)


def check_disk(size: int, what: str, folder: Path, reusable: int = 0) -> None:
    """Raise DataError unless so many bytes fit on a disk.

    Args:
        size: in bytes.
        what: needs them, for the message.
        folder: on the disk; may be missing.
        reusable: bytes of what already lies there and may be what is needed.
    """
    there = next(parent for parent in (folder, *folder.absolute().parents) if parent.is_dir())
    free = shutil.disk_usage(there).free
    if size > free + reusable:
        raise DataError(
            f"{what} need {size / 1e9:.1f} GB of memory or disk, but {allowed_bytes() / 1e9:.1f} GB of memory may be used for "
            f"them, and the disk of {folder} has {free / 1e9:.1f} GB free",
            mend=MEND,
        )


def cannot_keep(folder: Path, error: OSError) -> DataError:
    """Return the error for arrays that the system refuses to write."""
    return DataError(f"images that do not fit into memory cannot be kept in {folder}: {error.strerror or error}", mend=MEND)


def _reserve(file: IO[bytes], size: int) -> None:
    """Give a file its size and all its bytes on the disk: writing to a mapped page without them would end the process."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
        return
    for start in range(0, size, len(_ZEROS)):
        file.write(_ZEROS[: size - start])
    file.flush()
