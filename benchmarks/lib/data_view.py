"""A view of a data folder with other splits: the same images and masks, and a split.csv of its own."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from benchmarks.lib.environment import BENCHMARKS
from u3p_edge.data.folder import SPLIT_FILE
from u3p_edge.files.atomic import make_folder, write_text

SPLITS = BENCHMARKS / "splits"


def read_splits(path: Path) -> tuple[str, Mapping[str, str]]:
    """Return the name of the column that groups images, e.g. "patient", and the split of every group.

    Args:
        path: a CSV file with that column and a column `split`, one line a group.

    Raises:
        ValueError: a group has two lines.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    column = next(name for name in reader.fieldnames or () if name != "split")
    splits = {row[column]: row["split"] for row in rows}
    if len(splits) < len(rows):
        raise ValueError(f"{path} gives a {column} a split twice")
    return column, splits


def make_data_view(data: Path, folder: Path) -> Path:
    """Return a folder with the data's images and the splits of `benchmarks/splits/<name of the data>.csv`.

    Where there is no such file, `data` itself is returned. Images and masks are links.

    Args:
        data: the data folder, with a split.csv.
        folder: where the view goes.

    Raises:
        KeyError: a group of the data is not in the file of splits.
    """
    wanted = SPLITS / f"{data.name}.csv"
    if not wanted.is_file():
        return data
    column, splits = read_splits(wanted)
    view = folder / data.name
    make_folder(view)
    for name in ("images", "masks"):
        if not (view / name).exists():
            (view / name).symlink_to((data / name).resolve())
    write_text(view / SPLIT_FILE, _with_splits((data / SPLIT_FILE).read_text(encoding="utf-8"), column, splits))
    return view


def _with_splits(table: str, column: str, splits: Mapping[str, str]) -> str:
    """Return the text of a split.csv in which every image has the split of its group."""
    reader = csv.DictReader(io.StringIO(table))
    out = io.StringIO()
    writer = csv.DictWriter(out, reader.fieldnames or (), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "split": splits[row[column]]} for row in reader)
    return out.getvalue()
