"""Preprocessed images that do not fit into memory, kept on disk from one run of the program to the next.

    <cache folder>/arrays/<key>/images.npy, labels.npy, originals.json

The key is a digest of all that decides the arrays, so whoever asks for the same images uses them again. A folder is written
under a name of its own and renamed at the end. So it is whole or not there, and of two processes that write the same numbers
at once neither waits for the other. What a kill leaves is removed after `KEEP_PARTIAL_DAYS` days by the next run that writes,
and folders that nobody has used for `KEEP_DAYS` days too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from u3p_edge.config.plain import from_dict
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.disk_arrays import arrays_folder, cannot_keep, check_disk
from u3p_edge.data.fit_notes import Original
from u3p_edge.data.memory import array_bytes, fits_memory
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.atomic import PARTIAL, make_folder, read_json, write_json

KEEP_DAYS = 30
"""Days for which arrays that nobody uses are kept."""

KEEP_PARTIAL_DAYS = 1
"""Days since the last byte after which an unfinished folder is nobody's."""

IMAGES, LABELS, ORIGINALS = "images.npy", "labels.npy", "originals.json"

Inputs = tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], Original]
"""What one image becomes: inputs float32 [n, height, width, C], labels uint8 [n, height, width], and what it was."""


@dataclass(frozen=True)
class MappedSplit:
    """Images float32 [N, height, width, C] and labels uint8 [N, height, width], mapped; and one original for each image."""

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    originals: tuple[Original, ...]


@dataclass(frozen=True)
class _Originals:
    originals: tuple[Original, ...]


def check_room(inputs: int, preprocessing: Preprocessing) -> None:
    """Raise DataError where so many inputs and their masks fit neither into memory nor on the disk, before anything is read."""
    size = array_bytes(inputs, preprocessing)
    if not fits_memory(size):
        kept = sum(path.stat().st_size for path in arrays_folder().glob("*/*.npy"))
        check_disk(size, _describe(inputs, preprocessing), arrays_folder(), kept)


def map_split(key: str, count: int, preprocessing: Preprocessing, parts: Iterable[Inputs]) -> MappedSplit:
    """Return the arrays that are kept under a key; where there are none, keep them first.

    Args:
        key: of all that decides them.
        count: number of inputs.
        preprocessing: of the inputs.
        parts: the inputs of one image after the other; only asked for where nothing is kept.

    Raises:
        DataError: the disk is full or cannot be written; and whatever `parts` raises.
    """
    root = arrays_folder()
    make_folder(root)
    split = _open(root / key, count, preprocessing)
    if split is None:
        _remove_unused(root)
        check_disk(array_bytes(count, preprocessing), _describe(count, preprocessing), root)
        try:
            split = _write(root / key, count, preprocessing, parts)
        except OSError as error:
            raise cannot_keep(root, error) from error
    with contextlib.suppress(OSError):  # another process has removed it as unused: what is mapped stays
        os.utime(root / key)
    return split


def _open(folder: Path, count: int, preprocessing: Preprocessing) -> MappedSplit | None:
    """Return the arrays of a folder; None where there are none, or not those."""
    try:
        images, labels = (np.load(folder / name, mmap_mode="r", allow_pickle=False) for name in (IMAGES, LABELS))
        originals = from_dict(_Originals, read_json(folder / ORIGINALS)).originals
    except (OSError, ValueError, EOFError, ArtifactError, ConfigError):
        return None
    shapes = _shapes(count, preprocessing)
    if (images.shape, labels.shape) != shapes or (images.dtype, labels.dtype) != (np.float32, np.uint8):
        return None
    return MappedSplit(np.asarray(images), np.asarray(labels), originals)


def _write(folder: Path, count: int, preprocessing: Preprocessing, parts: Iterable[Inputs]) -> MappedSplit:
    """Keep arrays in a folder, and return them mapped. They stay mapped whatever becomes of the folder."""
    partial = Path(tempfile.mkdtemp(prefix=f"{PARTIAL}{folder.name}-", dir=folder.parent))
    try:
        _write_files(partial, count, preprocessing, parts)
        split = _open(partial, count, preprocessing)
        assert split is not None, "what was written can be read"
        if _open(folder, count, preprocessing) is None:  # else another process was faster
            shutil.rmtree(folder, ignore_errors=True)  # damaged
            with contextlib.suppress(FileExistsError):
                partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return split


def _write_files(folder: Path, count: int, preprocessing: Preprocessing, parts: Iterable[Inputs]) -> None:
    originals = []
    with (folder / IMAGES).open("wb") as image_file, (folder / LABELS).open("wb") as label_file:
        for file, shape, dtype in zip((image_file, label_file), _shapes(count, preprocessing), ("<f4", "|u1"), strict=True):
            np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
        for images, labels, original in parts:
            image_file.write(np.ascontiguousarray(images, "<f4").data)
            label_file.write(np.ascontiguousarray(labels).data)
            originals.append(original)
        _sync(image_file)
        _sync(label_file)
    write_json(folder / ORIGINALS, dataclasses.asdict(_Originals(tuple(originals))))


def _remove_unused(root: Path) -> None:
    """Remove what kills have left, and arrays that nobody has used for too long."""
    for folder in (path for path in root.iterdir() if path.is_dir()):
        is_partial = folder.name.startswith(PARTIAL)
        try:
            used = max(path.stat().st_mtime for path in (folder, *(folder.iterdir() if is_partial else ())))
        except OSError:  # its process has just renamed or removed it
            continue
        if used < time.time() - 86400 * (KEEP_PARTIAL_DAYS if is_partial else KEEP_DAYS):
            shutil.rmtree(folder, ignore_errors=True)


def _shapes(count: int, preprocessing: Preprocessing) -> tuple[tuple[int, ...], tuple[int, ...]]:
    size = (count, preprocessing.height, preprocessing.width)
    return (*size, preprocessing.channels), size


def _describe(inputs: int, preprocessing: Preprocessing) -> str:
    return f"{inputs:,} images of {preprocessing.height}x{preprocessing.width}x{preprocessing.channels}"


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
