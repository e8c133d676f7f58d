"""Which image belongs to which set: read from split.csv, or drawn by a seed; a group is never split across sets."""

from __future__ import annotations

import csv
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.data.formats import SUFFIXES
from u3p_edge.errors import DataError

SPLITS = ("train", "val", "test")
NAME_COLUMNS = ("name", "stem", "file", "filename", "image")
GROUP_COLUMNS = ("group", "patient", "subject", "person", "child", "case", "study", "volume", "scan", "slab")
"""Looked for in this order, also as `<word>_id`: the coarser unit comes first."""

HELD = 0.15
"""Share of the groups that goes into val, and again into test, when there is no split.csv."""

_ALIASES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}


@dataclass(frozen=True)
class Row:
    """One line of split.csv: `split` is empty where the file has no such column, `group` where it is not known."""

    stem: str
    split: str
    group: str


@dataclass(frozen=True)
class Table:
    """split.csv as read: its rows, its group column (empty if none) and what is wrong with it, one sentence each."""

    rows: tuple[Row, ...]
    group_column: str
    problems: tuple[str, ...]


def read_table(path: Path, group_column: str | None = None) -> Table:
    """Read split.csv: a header, then one line an image; comma, semicolon or tab between columns.

    Args:
        path: of the file.
        group_column: the column that names the patient (or other unit); None looks for `GROUP_COLUMNS`.

    Raises:
        DataError: unreadable, without the column asked for, or with neither a split nor a group column.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({error})", mend="It must be a UTF-8 text file.") from error
    lines = text.splitlines()
    header = lines[0] if lines else ""
    delimiter = next((d for d in (",", ";", "\t") if d in header), ",")
    table = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=delimiter) if any(row)]
    columns = [cell.lower() for cell in table[0]] if table else []
    name = next((columns.index(c) for c in NAME_COLUMNS if c in columns), 0)
    group = _group_index(path, columns, group_column)
    split = columns.index("split") if "split" in columns else None
    if split is None and group is None:
        raise DataError(f"{path} has no column `split`", mend="Add one with the values train, val and test.")
    rows, problems = [], []
    for number, cells in enumerate(table[1:], start=2):
        cells = cells + [""] * (len(columns) - len(cells))
        stem = stem_of(cells[name])
        value = "" if split is None else _ALIASES.get(cells[split].lower(), cells[split].lower())
        if split is not None and value not in SPLITS:
            problems.append(f"{path}, line {number}: the split of {stem!r} is {cells[split]!r}, not train, val or test")
            continue
        rows.append(Row(stem, value, "" if group is None else cells[group]))
    problems += [f"{path} lists {stem!r} more than once" for stem in _repeated(r.stem for r in rows)]
    return Table(tuple(rows), "" if group is None else columns[group], tuple(problems))


def leaks(assigned: Iterable[Row]) -> tuple[str, ...]:
    """One sentence for each group that lies in more than one split."""
    seen: dict[str, set[str]] = defaultdict(set)
    for row in assigned:
        seen[row.group].add(row.split)
    return tuple(
        f"the group {group!r} is in several splits ({', '.join(s for s in SPLITS if s in splits)})"
        for group, splits in seen.items()
        if len(splits) > 1
    )


def draw(groups: Iterable[str], seed: int) -> Mapping[str, str]:
    """The split of each group: 70 / 15 / 15 percent of the groups, at least one group each when there are three.

    The order is by a hash of seed and name, so it is the same on every machine and with every NumPy.
    """

    def key(group: str) -> str:
        return hashlib.sha256(f"{seed}/{group}".encode(errors="surrogateescape")).hexdigest()

    order = sorted(set(groups), key=key)
    held = max(1, round(HELD * len(order)))
    val = held if len(order) > 1 else 0
    test = held if len(order) > 2 else 0
    return {g: "val" if i < val else "test" if i < val + test else "train" for i, g in enumerate(order)}


def stem_of(name: str) -> str:
    """The file stem in a cell that may hold a stem, a file name or a path."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    return next((last[: -len(s)] for s in SUFFIXES if last.lower().endswith(s)), last)


def _group_index(path: Path, columns: Sequence[str], wanted: str | None) -> int | None:
    if wanted is not None:
        if wanted.lower() not in columns:
            raise DataError(f"{path} has no column {wanted!r}", mend=f"Its columns are: {', '.join(columns)}.")
        return columns.index(wanted.lower())
    plain = [c.removesuffix("_id") for c in columns]
    return next((plain.index(c) for c in GROUP_COLUMNS if c in plain), None)


def _repeated(stems: Iterable[str]) -> tuple[str, ...]:
    seen: set[str] = set()
    twice: dict[str, None] = {}
    for stem in stems:
        if stem in seen:
            twice[stem] = None
        seen.add(stem)
    return tuple(twice)
