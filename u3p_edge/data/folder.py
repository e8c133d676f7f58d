"""A data set as a folder: images/ and masks/ with the same file stems, and optionally split.csv.

    FOLDER/images/p1_s0.png    FOLDER/masks/p1_s0.png    FOLDER/split.csv: name,patient,split

Stems are compared in Unicode's composed form (NFC): one name may be written in two ways that look alike. A second suffix
(`x1.jpg.png`) may be left out in the mask's name and in split.csv, or be there alone, as long as it is clear what is meant.
Nothing is decoded here; `check_data` and `load` look at the pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unicodedata import normalize

from u3p_edge.data.description import has_overlap
from u3p_edge.data.formats import FORMATS, SUFFIXES
from u3p_edge.data.groups import NameGroups, group_by_name
from u3p_edge.data.options import DEFAULTS, DataOptions
from u3p_edge.data.pairing import match_rows, pair_masks
from u3p_edge.data.split import SPLITS, draw_splits, find_leaks
from u3p_edge.data.table import Row, Table, read_table
from u3p_edge.errors import DataError

SPLIT_FILE = "split.csv"
LAYOUT = (
    "A data folder has images/ and masks/ with the same file stems; `u3p-edge data import` makes one of scans, and of masks "
    "with one file for each class"
)
_SYSTEM = ("thumbs.db", "desktop.ini", "__macosx")


@dataclass(frozen=True)
class Sample:
    """One image and its mask.

    Args:
        stem: file name without suffix, in Unicode's composed form (NFC).
        image, mask: paths; mask is None only where masks were not asked for.
        group: what must not be split across sets, e.g. the patient; the stem when it is not known.
        split: "train", "val" or "test".
        options: how its files are read.
    """

    stem: str
    image: Path
    mask: Path | None
    group: str
    split: str
    options: DataOptions = DEFAULTS


@dataclass(frozen=True)
class Dataset:
    """The samples of a folder, by stem, and where their splits come from.

    Args:
        root: the folder.
        samples: sorted by stem.
        group_column: of split.csv; empty when none is known.
        drawn: the splits were drawn by a seed, not read.
        grouped_by_name: no group column is known, but file names show which images belong together.
        notes: what a user should know of the groups, one sentence each.
    """

    root: Path
    samples: tuple[Sample, ...]
    group_column: str = ""
    drawn: bool = False
    grouped_by_name: bool = False
    notes: tuple[str, ...] = ()

    def count(self, split: str) -> int:
        """Return the number of samples in a split; 0 for one that the folder does not have."""
        return sum(s.split == split for s in self.samples)

    def split(self, name: str) -> tuple[Sample, ...]:
        """Return the samples of "train", "val" or "test". Raises DataError when there are none."""
        samples = tuple(s for s in self.samples if s.split == name)
        if not samples:
            counts = ", ".join(f"{self.count(s)} in {s}" for s in SPLITS)
            mend = "More images (or patients) are needed." if self.drawn else f"Assign some in {self.root / SPLIT_FILE}."
            raise DataError(f"{self.root} has no images in its split {name!r} ({counts})", mend=mend)
        return samples


@dataclass(frozen=True)
class Scan:
    """What `read_folder` and `check_data` both start from: the usable samples and every problem, one sentence each."""

    dataset: Dataset
    problems: tuple[str, ...]


def read_folder(root: Path, *, seed: int = 0, group_column: str | None = None, masks: bool = True) -> Dataset:
    """Return the samples of a data folder.

    Args:
        root: holds images/, masks/ and perhaps split.csv.
        seed: of the split that is drawn when there is no split.csv (or it has groups but no splits).
        group_column: of split.csv; None looks for a usual one (patient, subject, case, volume, ...).
        masks: False accepts images without masks.

    Raises:
        DataError: a folder, file or name does not fit. The message names the first and counts the others.
    """
    scanned = scan(Path(root), seed=seed, group_column=group_column, masks=masks)
    if scanned.problems:
        more = len(scanned.problems) - 1
        others = f"There {'is 1 more problem' if more == 1 else f'are {more} more problems'}. " if more else ""
        raise DataError(scanned.problems[0], mend=f"{others}Run `u3p-edge data check {root}` for the whole list.")
    return scanned.dataset


def open_folder(root: Path, options: DataOptions) -> Dataset:
    """Return the samples of a data folder, to be read as `options` say. Errors as `read_folder`."""
    return with_options(read_folder(root, seed=options.seed, group_column=options.group_column), options)


def with_options(dataset: Dataset, options: DataOptions) -> Dataset:
    """Return the same samples, to be read with other options, and as the folder's description says of its masks.

    Raises:
        ConfigError: the options give other classes to the values of masks whose classes may overlap.
    """
    if has_overlap(dataset.root):
        options = replace(options, rule=replace(options.rule, multi_label=True))
    return replace(dataset, samples=tuple(replace(sample, options=options) for sample in dataset.samples))


def scan(root: Path, *, seed: int = 0, group_column: str | None = None, masks: bool = True) -> Scan:
    """Pair images, masks and split.csv by stem; arguments as `read_folder`.

    Raises:
        DataError: there is nothing to pair: no folder, no images, no masks, or a split.csv that cannot be read.
    """
    problems: list[str] = []
    images = _files(root, "images", problems)
    pairs: Mapping[str, Path] = pair_masks(images, _files(root, "masks", problems)) if masks else {}
    if masks:
        problems += [f"{path} has no mask in {root / 'masks'}" for stem, path in images.items() if stem not in pairs]
        problems += [f"{path} has no image in {root / 'images'}" for stem, path in pairs.items() if stem not in images]
    path = root / SPLIT_FILE
    table = read_table(path, group_column) if path.exists() else None
    if table is None and group_column is not None:
        raise DataError(f"{root} has no {SPLIT_FILE}, so no column {group_column!r}", mend="Add it, or give no group column.")
    usable = sorted(stem for stem in images if stem in pairs or not masks)
    listed: Mapping[str, Row] | None = None
    if table is not None:
        listed, wrong = match_rows(table, path, {**pairs, **images})
        problems += (*table.problems, *wrong, *(f"{images[s]} is not listed in {path}" for s in usable if s not in listed))
    column = table.group_column if table else ""
    named = NameGroups({}, "") if column else group_by_name(usable)
    samples, drawn = _assign(usable, images, pairs, listed, named, seed)
    crossing = find_leaks((s.group, s.split) for s in samples)
    problems += [f"{path}: {leak} by its column {column!r}" for leak in crossing if column]
    notes = _notes(table, named, () if column else crossing)
    return Scan(Dataset(root, samples, column, drawn, bool(named.groups), notes), tuple(problems))


def _assign(
    stems: Sequence[str],
    images: Mapping[str, Path],
    masks: Mapping[str, Path],
    listed: Mapping[str, Row] | None,
    named: NameGroups,
    seed: int,
) -> tuple[tuple[Sample, ...], bool]:
    """Return a sample for each stem that split.csv lists, and whether the splits were drawn."""
    kept = [stem for stem in stems if listed is None or stem in listed]
    rows = {stem: listed[stem] for stem in kept} if listed is not None else {}
    groups = {stem: (rows[stem].group if rows else "") or named.groups.get(stem, stem) for stem in kept}
    drawn = not all(row.split for row in rows.values()) or not rows
    splits = draw_splits(groups.values(), seed) if drawn else {}
    return tuple(
        Sample(s, images[s], masks.get(s), groups[s], splits[groups[s]] if drawn else rows[s].split) for s in kept
    ), drawn


def _notes(table: Table | None, named: NameGroups, crossing: Sequence[str]) -> tuple[str, ...]:
    """Return sentences on what is known of the groups, and how to give more information."""
    how = f"name the patient (or other unit) of each image in a column `patient` of {SPLIT_FILE}"
    if table is not None:
        how += ", or give --group COLUMN"
    if table is not None and table.group_column:
        without = sum(not row.group for row in table.rows)
        note = f"{without} rows of {SPLIT_FILE} have no {table.group_column}: each of these images is one group."
        return (note,) if without else ()
    notes = []
    if named.groups:
        notes.append(f"No group column is known: {named.note}. If that is wrong, {how}")
    else:
        shown = f"; {named.note}" if named.note else ""
        notes.append(
            f"No group column is known, so each image is one group{shown}. If several are of one patient, {how}: "
            "otherwise training and test may have the same patient"
        )
    if crossing:
        more = f" and {len(crossing) - 1} more" if len(crossing) > 1 else ""
        notes.append(f"By file names, {crossing[0]}{more}: then the test scores measure what was trained on")
    if table is not None and table.unknown:
        names = ", ".join(map(repr, table.unknown))
        notes.append(
            f"Values of {names} in {SPLIT_FILE} repeat across splits: if one of them names the patient, give it as --group"
        )
    return tuple(f"{note}." for note in notes)


def _files(root: Path, kind: str, problems: list[str]) -> dict[str, Path]:
    """Return image files by stem, sorted; append to `problems` other files and files with the same stem."""
    folder = root / kind
    if not _is_utf8(str(root)) or not _is_utf8(root.resolve().name):
        raise DataError(f"the name of the data folder {_escape(str(root))} is not in UTF-8", mend="Rename it.")
    if not root.is_dir():
        raise DataError(f"the data folder {root} does not exist", mend=f"{LAYOUT}.")
    if not folder.is_dir():
        raise DataError(f"{root} has no folder {kind}/", mend=f"{LAYOUT}.")
    out: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        stem = normalize("NFC", path.stem)
        if path.name.startswith(".") or path.name.lower() in _SYSTEM:
            continue
        if not _is_utf8(path.name):
            problems.append(f"the name of {folder / _escape(path.name)} is not in UTF-8: rename the file")
        elif path.suffix.lower() not in SUFFIXES or not path.is_file():
            problems.append(f"{path} is not a {FORMATS} file")
        elif stem in out:
            problems.append(f"{path} and {out[stem].name} have the same stem")
        else:
            out[stem] = path
    if not out:
        raise DataError(f"{folder} holds no {FORMATS} files", mend=f"{LAYOUT}.")
    return out


def _is_utf8(name: str) -> bool:
    """Return whether a name of the file system was UTF-8; Python keeps other bytes as surrogates, which no file can hold."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _escape(name: str) -> str:
    return name.encode(errors="backslashreplace").decode()
