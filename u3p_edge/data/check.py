"""Report what a data folder contains and everything that is wrong with it. Every file is read, also after a problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from u3p_edge.config.limits import DEFAULT_SIZE
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.classes import MaskValues, check_count, count_classes
from u3p_edge.data.description import DESCRIPTION
from u3p_edge.data.fit_notes import shrink_notes
from u3p_edge.data.folder import Sample, scan, with_options
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.data.images import Pixels, read_native
from u3p_edge.data.labels import AS_STORED, LabelRule
from u3p_edge.data.load import check_sizes
from u3p_edge.data.masks import Values, read_values, to_classes
from u3p_edge.data.options import DataOptions
from u3p_edge.data.orientation import check_turned
from u3p_edge.data.split import SPLITS
from u3p_edge.errors import DataError
from u3p_edge.label_values import count_values, has_class
from u3p_edge.metrics import IGNORE

Counts = npt.NDArray[np.int64]
T = TypeVar("T")


@dataclass(frozen=True)
class FolderReport:
    """Counts of a data folder. A pair that cannot be read is in `problems`, and counts only in `images` and `groups`.

    Args:
        root: the folder.
        images: image and mask pairs, by split.
        groups: patients (or other units), by split.
        group_column: of split.csv; empty when none is known.
        grouped_by_name: no group column is known, but file names show which images belong together.
        drawn: the splits are not in split.csv but drawn by a seed.
        sizes: pairs of each "HxW".
        modes: images of each "grey uint8", "RGB uint8", "grey uint16", ...
        labels: number of classes, background included: as given, else inferred from the masks.
        fractions: share of the pixels of each class, over all pixels that are not ignored; of classes that overlap, more than
            1 in all.
        present: masks in which each class occurs.
        ignored: share of all pixels that are ignored.
        problems: one sentence each, naming the file.
        notes: what is allowed but may be a mistake, one sentence each.
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
    ignored: float
    problems: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Pair:
    """What one pair adds to the report: its size, its mode, the mask's values and the pixels of each."""

    mask: Path
    height: int
    width: int
    mode: str
    values: Values
    counts: Counts


def check_data(
    data: str | Path,
    labels: int | None = None,
    *,
    seed: int = 0,
    group_column: str | None = None,
    max_pixels: int = MAX_PIXELS,
    rule: LabelRule = AS_STORED,
) -> FolderReport:
    """Read a data folder from end to end, and count what it holds and what is wrong with it.

    Args:
        data, seed, group_column: as for `read_folder`.
        labels: number of classes that the masks may have, background included; None infers it from the masks.
        max_pixels: height x width that an image or mask may have.
        rule: what the values of masks mean.

    Raises:
        DataError: there is nothing to check: no folder, no images, no masks, or a split.csv that cannot be read.
    """
    root = Path(data)
    scanned = scan(root, seed=seed, group_column=group_column)
    problems = list(scanned.problems)
    samples = with_options(scanned.dataset, DataOptions(seed, group_column, rule, max_pixels)).samples
    rule = samples[0].options.rule if samples else rule
    read = (_read(sample, problems) for sample in samples)
    pairs = [pair for pair in read if pair is not None]
    classes = count_classes([MaskValues(p.mask, p.values) for p in pairs], rule) if labels is None else labels
    counted = [(pair, _try(partial(_count_classes, pair, classes, rule), problems)) for pair in pairs]
    readable = [(pair, counts) for pair, counts in counted if counts is not None]
    total, present, ignored = _add_up(readable, classes)
    if labels is None and not rule.colours and not rule.multi_label:
        _try(lambda: check_count(classes, np.flatnonzero(total).tolist(), root), problems)
    turned = _try(lambda: check_turned(samples), problems)
    images = {split: scanned.dataset.count(split) for split in SPLITS}
    scored = sum(int(pair.counts.sum()) for pair, _ in readable) - ignored
    about_classes = _notes(images, readable, classes, rule)
    return FolderReport(
        root=str(root),
        images=images,
        groups={split: len({s.group for s in samples if s.split == split}) for split in SPLITS},
        group_column=scanned.dataset.group_column,
        grouped_by_name=scanned.dataset.grouped_by_name,
        drawn=scanned.dataset.drawn,
        sizes=dict(Counter(f"{p.height}x{p.width}" for p in pairs).most_common()),
        modes=dict(Counter(p.mode for p in pairs).most_common()),
        labels=classes,
        fractions=tuple(float(n) for n in total / max(1, scored)),
        present=tuple(int(n) for n in present),
        ignored=ignored / max(1, scored + ignored),
        problems=tuple(problems),
        notes=tuple(filter(None, (*scanned.dataset.notes, turned.note if turned else "", *about_classes, *_size_notes(pairs)))),
    )


def _size_notes(pairs: Sequence[_Pair]) -> tuple[str, ...]:
    """Return sentences on what resizing to the default size would lose."""
    sizes = [(pair.height, pair.width) for pair in pairs]
    height, width = DEFAULT_SIZE
    return tuple(
        f"with the default --size {height}x{width}, {note}" for note in shrink_notes(sizes, Preprocessing(height, width))
    )


def _read(sample: Sample, problems: list[str]) -> _Pair | None:
    """Read one pair; append what is wrong with the image, the mask or the two together."""
    path = sample.mask
    if path is None:
        return None
    image = _try(lambda: read_native(sample.image, sample.options.max_pixels), problems)
    mask = _try(lambda: read_values(path, sample.options.max_pixels, sample.options.rule), problems)
    if image is None or mask is None:
        return None
    return _try(lambda: _pair(sample.image, image, path, mask), problems)


def _pair(image_path: Path, image: Pixels, mask_path: Path, mask: Values) -> _Pair:
    check_sizes(image_path, image.shape[:2], mask_path, mask.shape)
    mode = f"{'grey' if image.shape[2] == 1 else 'RGB'} {image.dtype}"
    histogram = np.bincount(mask.ravel())
    values = np.flatnonzero(histogram)
    return _Pair(mask_path, mask.shape[0], mask.shape[1], mode, values.astype(np.uint16), histogram[values])


def _try(read: Callable[[], T], problems: list[str]) -> T | None:
    """Return what `read` gives, or None, with its DataError added to the problems."""
    try:
        return read()
    except DataError as error:
        problems.append(str(error))
        return None


def _count_classes(pair: _Pair, labels: int, rule: LabelRule) -> Counts:
    """Count pixels of each class and, last, ignored ones: int64 [labels + 1]. DataError for values beyond the classes."""
    counts = np.zeros(IGNORE + 1, np.int64)
    np.add.at(counts, to_classes(pair.values, labels, pair.mask, rule), pair.counts)
    values = np.arange(count_values(labels, rule.multi_label))
    return np.array([*(counts[values[has_class(values, k, rule.multi_label)]].sum() for k in range(labels)), counts[IGNORE]])


def _add_up(masks: Sequence[tuple[_Pair, Counts]], classes: int) -> tuple[Counts, Counts, int]:
    """Return the pixels of each class, the masks that have each class, and the pixels that are ignored."""
    counts = np.array([some for _, some in masks], np.int64).reshape(-1, classes + 1)
    total = counts[:, :classes]
    return total.sum(axis=0), (total > 0).sum(axis=0), int(counts[:, classes].sum())


def _notes(images: Mapping[str, int], masks: Sequence[tuple[_Pair, Counts]], classes: int, rule: LabelRule) -> tuple[str, ...]:
    """Return sentences on empty splits, overlap, classes that no mask has, and a single mask with a class above those."""
    notes = [f"no images in the split {split!r}" for split, count in images.items() if count == 0]
    if rule.multi_label:
        notes.append(f"{DESCRIPTION} says that classes may overlap (multi-label): a mask's values are sets of classes")
    present = {k: [pair.mask for pair, counts in masks if counts[k]] for k in range(classes)}
    missing = [k for k in range(classes) if not present[k]]
    if not missing:
        return tuple(notes)
    one = len(missing) == 1
    held = ", ".join(str(k) for k in range(classes) if present[k])
    rename = "" if rule.multi_label else ". If other classes are meant, --map gives them their numbers"
    notes.append(
        f"class{'' if one else 'es'} {_ranges(missing)} {'is' if one else 'are'} in no mask; the masks hold {held}{rename}"
    )
    last = present[classes - 1]
    if len(last) == 1 and len(masks) > 2 and classes - 2 in missing:
        notes.append(f"class {classes - 1} is in {last[0]} alone")
    return tuple(notes)


def _ranges(numbers: Sequence[int]) -> str:
    """Return sorted numbers as text, with runs of three or more shortened: "1, 3 to 6"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
