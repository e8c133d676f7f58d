"""A data set as a folder: images/ and masks/ with the same file stems, and optionally split.csv.

    FOLDER/images/p1_s0.png    FOLDER/masks/p1_s0.png    FOLDER/split.csv: name,patient,split

Nothing is decoded here; `check_folder` and `load` look at the pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.data.formats import FORMATS, SUFFIXES
from u3p_edge.data.split import SPLITS, Row, Table, draw, leaks, read_table
from u3p_edge.errors import DataError

SPLIT_FILE = "split.csv"
LAYOUT = "A data folder has images/ and masks/ with the same file stems"
_SYSTEM = ("thumbs.db", "desktop.ini", "__macosx")


@dataclass(frozen=True)
class Sample:
    """One image and its mask.

    Args:
        stem: file name without suffix, shared by image and mask.
        image, mask: paths; mask is None only where masks were not asked for.
        group: what must not be split across sets, e.g. the patient; the stem when it is not known.
        split: "train", "val" or "test".
    """

    stem: str
    image: Path
    mask: Path | None
    group: str
    split: str


@dataclass(frozen=True)
class Dataset:
    """The samples of a folder, by stem, and where their splits come from.

    Args:
        root: the folder.
        samples: sorted by stem.
        group_column: of split.csv; empty when every image is a group of its own.
        drawn: the splits were drawn by a seed, not read.
    """

    root: Path
    samples: tuple[Sample, ...]
    group_column: str = ""
    drawn: bool = False

    def count(self, split: str) -> int:
        """Number of samples in a split; 0 for one that the folder does not have."""
        return sum(s.split == split for s in self.samples)

    def split(self, name: str) -> tuple[Sample, ...]:
        """The samples of "train", "val" or "test". Raises DataError when there are none."""
        found = tuple(s for s in self.samples if s.split == name)
        if not found:
            counts = ", ".join(f"{self.count(s)} in {s}" for s in SPLITS)
            mend = "More images (or patients) are needed." if self.drawn else f"Assign some in {self.root / SPLIT_FILE}."
            raise DataError(f"{self.root} has no images in its split {name!r} ({counts})", mend=mend)
        return found


@dataclass(frozen=True)
class Scan:
    """What `read_folder` and `check_folder` both start from: the usable samples and every problem, one sentence each."""

    dataset: Dataset
    problems: tuple[str, ...]


def read_folder(root: Path, *, seed: int = 0, group_column: str | None = None, masks: bool = True) -> Dataset:
    """The samples of a data folder.

    Args:
        root: holds images/, masks/ and perhaps split.csv.
        seed: of the split that is drawn when there is no split.csv (or it has groups but no splits).
        group_column: of split.csv; None finds a usual one (patient, subject, case, volume, ...).
        masks: False accepts images without masks.

    Raises:
        DataError: a folder, file or name that does not fit; the message names the first and counts the others.
    """
    found = scan(Path(root), seed=seed, group_column=group_column, masks=masks)
    if found.problems:
        more = len(found.problems) - 1
        others = f"There {'is 1 more problem' if more == 1 else f'are {more} more problems'}. " if more else ""
        raise DataError(found.problems[0], mend=f"{others}Run `u3p-edge data check {root}` for the whole list.")
    return found.dataset


def scan(root: Path, *, seed: int = 0, group_column: str | None = None, masks: bool = True) -> Scan:
    """Pair images, masks and split.csv by stem; arguments as `read_folder`.

    Raises:
        DataError: there is nothing to pair: no folder, no images, no masks, or a split.csv that cannot be read.
    """
    problems: list[str] = []
    images = _files(root, "images", problems)
    pairs: Mapping[str, Path] = _files(root, "masks", problems) if masks else {}
    if masks:
        problems += [f"{path} has no mask in {root / 'masks'}" for stem, path in images.items() if stem not in pairs]
        problems += [f"{path} has no image in {root / 'images'}" for stem, path in pairs.items() if stem not in images]
    path = root / SPLIT_FILE
    table = read_table(path, group_column) if path.exists() else None
    if table is None and group_column is not None:
        raise DataError(f"{root} has no {SPLIT_FILE}, so no column {group_column!r}", mend="Add it, or give no group column.")
    usable = sorted(stem for stem in images if stem in pairs or not masks)
    rows, drawn = _assign(usable, table, seed)
    if table is not None:
        problems += table.problems
        listed = {r.stem for r in table.rows}
        known = images.keys() | pairs.keys()
        problems += [f"{path} lists {r.stem!r}, which is not in {root / 'images'}" for r in table.rows if r.stem not in known]
        problems += [f"{images[stem]} is not listed in {path}" for stem in usable if stem not in listed]
        problems += [f"{path}: {leak}" for leak in leaks(rows.values())]
    samples = tuple(Sample(r.stem, images[r.stem], pairs.get(r.stem), r.group, r.split) for r in rows.values())
    return Scan(Dataset(root, samples, table.group_column if table else "", drawn), tuple(problems))


def _assign(stems: list[str], table: Table | None, seed: int) -> tuple[dict[str, Row], bool]:
    """Split and group of each stem, and whether they were drawn; stems that split.csv leaves out are left out."""
    listed = {r.stem: r for r in table.rows} if table else {}
    rows = {
        s: Row(s, listed[s].split, listed[s].group or s) if table else Row(s, "", s) for s in stems if not table or s in listed
    }
    if all(r.split for r in rows.values()) and table:
        return rows, False
    splits = draw((r.group for r in rows.values()), seed)
    return {s: Row(s, splits[r.group], r.group) for s, r in rows.items()}, True


def _files(root: Path, kind: str, problems: list[str]) -> dict[str, Path]:
    """Image files by stem, sorted; appends to `problems` what is not one, and files of one stem."""
    folder = root / kind
    if not root.is_dir():
        raise DataError(f"the data folder {root} does not exist", mend=f"{LAYOUT}.")
    if not folder.is_dir():
        raise DataError(f"{root} has no folder {kind}/", mend=f"{LAYOUT}.")
    out: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.lower() in _SYSTEM:
            continue
        if path.suffix.lower() not in SUFFIXES or not path.is_file():
            problems.append(f"{path} is not a {FORMATS} file")
        elif path.stem in out:
            problems.append(f"{path} and {out[path.stem].name} have the same stem")
        else:
            out[path.stem] = path
    if not out:
        raise DataError(f"{folder} holds no {FORMATS} files", mend=f"{LAYOUT}.")
    return out
