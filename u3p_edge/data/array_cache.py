"""Preprocessed images that do not fit into memory, kept on disk from one run of the program to the next.

    <cache folder>/arrays/<key>/images.npy, labels.npy, originals.json

The key is a digest of all that decides the arrays, so whoever asks for the same images uses them again. A folder is written
beside its final name and renamed at the end: what a kill leaves is removed by the next run that writes. Folders that nobody has
used for `KEEP_DAYS` days are removed too.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
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
    from filelock import FileLock  # a device that only predicts does without

    root = arrays_folder()
    make_folder(root)
    with FileLock(_lock(root / key)):
        split = _open(root / key, count, preprocessing)
        if split is None:
            _remove_unused(root, key)
            check_disk(array_bytes(count, preprocessing), _describe(count, preprocessing), root)
            try:
                _write(root / key, count, preprocessing, parts)
            except OSError as error:
                raise cannot_keep(root, error) from error
            split = _open(root / key, count, preprocessing)
            assert split is not None, "what was written can be read"
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


def _write(folder: Path, count: int, preprocessing: Preprocessing, parts: Iterable[Inputs]) -> None:
    partial = _partial(folder)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    originals = []
    try:
        with (partial / IMAGES).open("wb") as image_file, (partial / LABELS).open("wb") as label_file:
            for file, shape, dtype in zip((image_file, label_file), _shapes(count, preprocessing), ("<f4", "|u1"), strict=True):
                header = {"descr": dtype, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            for images, labels, original in parts:
                image_file.write(np.ascontiguousarray(images, "<f4").data)
                label_file.write(np.ascontiguousarray(labels).data)
                originals.append(original)
            _sync(image_file)
            _sync(label_file)
        write_json(partial / ORIGINALS, dataclasses.asdict(_Originals(tuple(originals))))
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _remove_unused(root: Path, key: str) -> None:
    """Remove what is not in use by a process that writes it: what kills have left, and arrays that are too old."""
    from filelock import FileLock, Timeout

    oldest = time.time() - KEEP_DAYS * 86400
    for folder in (path for path in root.iterdir() if path.is_dir()):
        name = folder.name.removeprefix(PARTIAL)
        if name == key or (name == folder.name and folder.stat().st_mtime > oldest):
            continue
        try:
            with FileLock(_lock(root / name), timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except Timeout:
            continue


def _lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _partial(folder: Path) -> Path:
    return folder.with_name(f"{PARTIAL}{folder.name}")


def _shapes(count: int, preprocessing: Preprocessing) -> tuple[tuple[int, ...], tuple[int, ...]]:
    size = (count, preprocessing.height, preprocessing.width)
    return (*size, preprocessing.channels), size


def _describe(inputs: int, preprocessing: Preprocessing) -> str:
    return f"{inputs:,} images of {preprocessing.height}x{preprocessing.width}x{preprocessing.channels}"


def _sync(file: IO[Any]) -> None:
    file.flush()
    os.fsync(file.fileno())
