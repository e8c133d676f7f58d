"""What a data folder holds and everything that is wrong with it: reads every file, never stops at the first problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from u3p_edge.data.folder import Sample, scan
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.data.images import BINARY, Labels, Pixels, read_indices, read_native, to_classes
from u3p_edge.data.load import check_sizes
from u3p_edge.data.split import SPLITS
from u3p_edge.errors import DataError

Counts = npt.NDArray[np.int64]
T = TypeVar("T")


@dataclass(frozen=True)
class FolderReport:
    """Counts of a data folder; what could not be read is in `problems` and not counted below `groups`.

    Args:
        root: the folder.
        images: image and mask pairs, by split.
        groups: patients (or other units), by split.
        group_column: of split.csv; empty when none is known.
        grouped_by_name: no group column is known, but file names say which images belong together.
        drawn: the splits are not in split.csv but drawn by a seed.
        sizes: pairs of each "HxW".
        modes: images of each "grey uint8", "RGB uint8", "grey uint16", ...
        labels: number of classes, background included: as given, else found in the masks.
        fractions: share of the pixels of each class, over all masks.
        present: masks in which each class occurs.
        problems: one sentence each, naming the file.
        notes: what is allowed but worth a look.
    """

    root: str
    images: Mapping[str, int]
    groups: Mapping[str, int]
    group_column: str
    grouped_by_name: bool
    drawn: bool
    sizes: Mapping[str, int]
    modes: Mapping[str, int]
    labels: int
    fractions: tuple[float, ...]
    present: tuple[int, ...]
    problems: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Pair:
    """What one readable pair adds to the report: its size, mode and a histogram int64 [256] of the mask's values."""

    mask: Path
    size: str
    mode: str
    values: Counts


def check_folder(
    root: Path,
    labels: int | None = None,
    *,
    seed: int = 0,
    group_column: str | None = None,
    max_pixels: int = MAX_PIXELS,
) -> FolderReport:
    """Read a data folder from end to end.

    Args:
        root, seed, group_column: as for `read_folder`.
        labels: number of classes that the masks may have, background included; None finds it in the masks.
        max_pixels: height x width that an image or mask may have.

    Raises:
        DataError: there is nothing to check: no folder, no images, no masks, or a split.csv that cannot be read.
    """
    found = scan(Path(root), seed=seed, group_column=group_column)
    problems = list(found.problems)
    read = (_read(sample, max_pixels, problems) for sample in found.dataset.samples)
    pairs = [pair for pair in read if pair is not None]
    classes = _infer(pairs) if labels is None else labels
    counted = [_attempt(partial(_count, pair, classes), problems) for pair in pairs]
    counts = np.array([c for c in counted if c is not None], np.int64).reshape(-1, classes)
    total = counts.sum(axis=0)
    samples = found.dataset.samples
    images = {split: found.dataset.count(split) for split in SPLITS}
    return FolderReport(
        root=str(root),
        images=images,
        groups={split: len({s.group for s in samples if s.split == split}) for split in SPLITS},
        group_column=found.dataset.group_column,
        grouped_by_name=found.dataset.grouped_by_name,
        drawn=found.dataset.drawn,
        sizes=dict(Counter(p.size for p in pairs).most_common()),
        modes=dict(Counter(p.mode for p in pairs).most_common()),
        labels=classes,
        fractions=tuple(float(n) for n in total / max(1, total.sum())),
        present=tuple(int(n) for n in (counts > 0).sum(axis=0)),
        problems=tuple(problems),
        notes=(*found.dataset.notes, *_notes(images, total)),
    )


def _read(sample: Sample, max_pixels: int, problems: list[str]) -> _Pair | None:
    """Read one pair; append what is wrong with the image, the mask or the two together."""
    path = sample.mask
    if path is None:
        return None
    image = _attempt(lambda: read_native(sample.image, max_pixels), problems)
    mask = _attempt(lambda: read_indices(path, max_pixels), problems)
    if image is None or mask is None:
        return None
    return _attempt(lambda: _pair(sample.image, image, path, mask), problems)


def _pair(image_path: Path, image: Pixels, mask_path: Path, mask: Labels) -> _Pair:
    check_sizes(image_path, image.shape[:2], mask_path, mask.shape)
    mode = f"{'grey' if image.shape[2] == 1 else 'RGB'} {image.dtype}"
    return _Pair(mask_path, f"{mask.shape[0]}x{mask.shape[1]}", mode, np.bincount(mask.ravel(), minlength=BINARY + 1))


def _attempt(read: Callable[[], T], problems: list[str]) -> T | None:
    """What `read` gives, or None and its DataError among the problems."""
    try:
        return read()
    except DataError as error:
        problems.append(str(error))
        return None


def _infer(pairs: Sequence[_Pair]) -> int:
    """Classes in the masks of indices; those that hold 255 are binary, or a problem that `_count` finds."""
    highest = (int(np.flatnonzero(p.values)[-1]) for p in pairs if not p.values[BINARY])
    return max(1, *highest, 0) + 1


def _count(pair: _Pair, labels: int) -> Counts:
    """Pixels of each class, int64 [labels]. Raises DataError for an index beyond them."""
    present = np.flatnonzero(pair.values)
    counts = np.zeros(labels, np.int64)
    counts[to_classes(present.astype(np.uint8), labels, pair.mask)] = pair.values[present]
    return counts


def _notes(images: Mapping[str, int], total: Counts) -> tuple[str, ...]:
    empty = tuple(f"no images in the split {split!r}" for split, count in images.items() if count == 0)
    return empty + tuple(f"class {k} is in no mask" for k, n in enumerate(total) if n == 0)
