"""Read split.csv: which image belongs to which split and group."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from unicodedata import normalize

from u3p_edge.data.groups import column_key, find_group_column, repeating_columns
from u3p_edge.data.split import SPLITS
from u3p_edge.errors import DataError

NAME_COLUMNS = (
    *("name", "stem", "file", "filename", "filepath", "path", "image", "imagename", "imagefile", "imagepath", "imageid"),
    *("img", "slice", "sliceid", "slicename", "picture"),
)
"""Names of the column of image names, as `groups.plain` writes them, in this order; else it is the first column."""

MAX_BYTES = 64_000_000
"""Most bytes of the file: a million rows fit, and no large file of another kind is read into memory by mistake."""

_ALIASES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}
_DELIMITERS = (",", ";", "\t")
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?', re.IGNORECASE)
"""A first line that spreadsheets write to say what separates the columns."""


@dataclass(frozen=True)
class Row:
    """One line of split.csv.

    Args:
        name: the last part of the path in its column of names, in Unicode's composed form (NFC).
        split: "train", "val" or "test"; empty where the file has no such column.
        group: empty where it is not known.
        line: of the file, from 1.
    """

    name: str
    split: str
    group: str
    line: int


@dataclass(frozen=True)
class Table:
    """The content of split.csv.

    Args:
        rows: without those whose split is not valid.
        group_column: as the file writes it; empty if none is known.
        problems: one sentence each.
        unknown: other columns whose values repeat across splits, so that they may name groups; only if none is known.
    """

    rows: tuple[Row, ...]
    group_column: str
    problems: tuple[str, ...]
    unknown: tuple[str, ...] = ()


def read_table(path: Path, group_column: str | None = None) -> Table:
    """Read split.csv: a header, then one line for each image; comma, semicolon or tab between columns.

    Args:
        path: of the file; UTF-8, or UTF-16 with a byte order mark.
        group_column: the column that names the patient (or other unit), in any case; None looks for a usual one.

    Raises:
        DataError: the file cannot be read, lacks the column `group_column`, or has neither a split nor a group column.
    """
    header, lines = read_rows(path)
    columns = _unique(header)
    cells = {column: [row[i] if i < len(row) else "" for _, row in lines] for i, column in enumerate(columns)}
    split = next((column for column in columns if column_key(column) in ("split", "set", "subset", "partition")), None)
    name = _name_column(columns)
    others = {column: values for column, values in cells.items() if column not in (name, split)}
    group = find_group_column(others) if group_column is None else _find_column(path, columns, group_column)
    if split is None and group is None:
        raise DataError(
            f"{path} has no column `split`", mend="Add one with the values train, val and test, or one that names the patient."
        )
    count = len(lines)
    splits = [_ALIASES.get(s.lower(), s.lower()) for s in cells[split]] if split else [""] * count
    groups = cells[group] if group else [""] * count
    names = [last_part(cell) for cell in cells[name]] if columns else []
    problems, rows = [], []
    for (number, _), stem, value, unit in zip(lines, names, splits, groups, strict=True):
        if split and value not in SPLITS:
            problems.append(f"{path}, line {number}: the split of {stem!r} is {value!r}, not train, val or test")
        else:
            rows.append(Row(stem, value, unit, number))
    unknown = () if group else repeating_columns(others, splits)
    return Table(tuple(rows), group or "", tuple(problems), unknown)


def has_column(path: Path, column: str) -> bool:
    """Return whether a split.csv exists and has a column, in any spelling. Raises DataError as `read_table`."""
    return path.exists() and column_key(column) in map(column_key, read_rows(path)[0])


def last_part(name: str) -> str:
    """Return the file name in a cell that may hold a path, in Unicode's composed form (NFC)."""
    return normalize("NFC", name.replace("\\", "/").rsplit("/", 1)[-1])


def read_rows(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read a table with comma, semicolon or tab between columns.

    Args:
        path: of the file; UTF-8, or UTF-16 with a byte order mark.

    Returns:
        The header, and each line that is not empty with its number. Spaces around cells are removed.

    Raises:
        DataError: the file cannot be read, or is no table.
    """
    text = _text(path)
    first, _, rest = text.partition("\n")
    separator = _SEPARATOR_LINE.fullmatch(first.strip("\r\n "))
    body, start = (rest, 2) if separator else (text, 1)
    delimiter = separator[1] if separator else _delimiter(body.partition("\n")[0])
    try:
        reader = csv.reader(io.StringIO(body), delimiter=delimiter)
    except (TypeError, ValueError) as error:
        raise DataError(f"{path} cannot have {delimiter!r} between its columns", mend="Use a comma or a semicolon.") from error
    try:
        rows = [(start + reader.line_num - 1, [normalize("NFC", cell.strip()) for cell in row]) for row in reader]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {start + reader.line_num - 1} cannot be read as a row of a table ({error})",
            mend="Is a quotation mark left open? The file has a header, then one line for each image.",
        ) from error
    lines = [(number, row) for number, row in rows if any(row)]
    return (lines[0][1], lines[1:]) if lines else ([], [])


def _text(path: Path) -> str:
    if not path.is_file():
        raise DataError(f"{path} is not a file", mend="It must be a UTF-8 text file.")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(
                f"{path} has more than {MAX_BYTES // 10**6} MB", mend="It must be a header, then one line for each image."
            )
        content = path.read_bytes()
        encoding = "utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
        return io.TextIOWrapper(io.BytesIO(content), encoding).read()
    except (OSError, UnicodeError) as error:
        raise DataError(f"{path} cannot be read ({error})", mend="It must be a UTF-8 text file.") from error


def _delimiter(header: str) -> str:
    """Return the delimiter of the header's columns: the one that gives the most known names, then the most names."""

    def score(delimiter: str) -> tuple[int, int]:
        names = [column_key(name) for name in header.split(delimiter)]
        return sum(name == "split" or name in NAME_COLUMNS for name in names), len(names)

    return max(_DELIMITERS, key=score)


def _name_column(columns: Sequence[str]) -> str:
    names = {column_key(column): column for column in reversed(columns)}
    return next((names[name] for name in NAME_COLUMNS if name in names), columns[0] if columns else "")


def _find_column(path: Path, columns: Sequence[str], wanted: str) -> str:
    """Return the column of the wanted name: as it is written, else in any case and spelling."""
    column = next((c for c in columns if c == wanted), next((c for c in columns if column_key(c) == column_key(wanted)), None))
    if column is None:
        raise DataError(f"{path} has no column {wanted!r}", mend=f"Its columns are: {', '.join(columns)}.")
    return column


def _unique(header: Sequence[str]) -> tuple[str, ...]:
    """Return names of the columns; a repeated name has its position added."""
    seen: Mapping[str, int] = {name: i for i, name in reversed(list(enumerate(header)))}
    return tuple(name if seen[name] == i else f"{name} ({i + 1})" for i, name in enumerate(header))
