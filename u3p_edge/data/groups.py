"""Find the groups that must not be split across sets: from a column of split.csv, or from file names.

Slices of one patient in both training and test make a score that means nothing, so the usual ways to name a patient are
recognised, and the user is informed where none is.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_LIVING = (
    *("group", "patient", "pat", "pt", "pid", "mrn", "subject", "subj", "sub", "person", "participant", "individual"),
    *("child", "donor", "animal", "mouse", "rat", "dog", "cat"),
)
_FINER = (
    *("case", "study", "exam", "examination", "accession", "visit", "session", "scan", "series", "acquisition"),
    *("volume", "vol", "stack", "slab", "specimen", "biopsy", "block", "slide", "wsi", "video", "sequence", "clip"),
    *("lesion", "nodule", "polyp", "eye"),
)
UNITS = (*_LIVING, *_FINER)
"""Words for what is never split across sets, the coarser unit first: where two columns match, the first word counts."""

_ENDINGS = ("", "s", "id", "ids", "uid", "instanceuid", "no", "nr", "num", "number", "name", "code", "key", "index")
_PARTS = (
    *("slice", "slc", "sl", "frame", "fr", "tile", "patch", "crop", "roi", "section", "layer", "level", "plane", "page"),
    *("phase", "time", "view", "aug", "row", "col", "part", "s", "z", "t", "f", "x", "y", "r", "c"),
)
_APART = r"[_\-. ]"

_UNIT_AND_NUMBER = re.compile(
    rf"(?:^|{_APART})(?P<word>{'|'.join(UNITS)})(?:{_APART}[A-Za-z]{{0,3}})?\d+(?=\D|$)|^[ps]\d+(?=\D)", re.IGNORECASE
)
"""In a file name, a unit and its number: `patient001`, `sub-01`, `case_A7`; `p` and `s` only at its beginning."""

_PART_MARK = rf"{_APART}(?:{'|'.join(_PARTS)})|(?<=\d)(?:{'|'.join(part for part in _PARTS if len(part) > 2)})"
_PART_OF = re.compile(rf"^(?P<unit>.*?\d.*?)(?:(?:{_PART_MARK}){_APART}?\d+)+$", re.IGNORECASE)
"""A name with a number, then one that is marked as a slice's, a tile's or the like: `scan7_z031`, `12_x0_y256`."""

_TWO_NUMBERS = re.compile(rf"^(?P<unit>.*\d.*?){_APART}\d+$")
"""A name with two numbers that do not show what they count: `2019_0001`, `IM-0003-0012`."""

_MEASURE = re.compile(r"[-+]?\d*[.,]\d+(e[-+]?\d+)?|\d+\s*x\s*\d+", re.IGNORECASE)
"""A value that measures something and names nothing: 0.43, 256x256."""

MANY = 3
"""The number of groups that three splits need."""


@dataclass(frozen=True)
class NameGroups:
    """The groups that file names show.

    Args:
        groups: the group of each stem that shares one with others; empty if no groups are reliable.
        note: one sentence for the user; empty where the names show nothing.
    """

    groups: Mapping[str, str]
    note: str


def column_key(column: str) -> str:
    """Return a column's name in lower case, without spaces, hyphens, underscores and dots.

    >>> column_key("Patient ID"), column_key("patientId")
    ('patientid', 'patientid')
    """
    return re.sub(r"[\s_\-.#]+", "", column).casefold()


def find_group_column(columns: Mapping[str, Sequence[str]]) -> str | None:
    """Return the column that names the coarsest unit of `UNITS`, in any of the usual spellings; None without one.

    Args:
        columns: values of each column, one per row. A column of a finer unit counts from three values on: two sides of a body,
            or one study, are no groups.
    """
    names = {column: column_key(column) for column in columns}
    for unit in UNITS:
        spellings = {f"{unit}{ending}" for ending in _ENDINGS} | {f"id{unit}"}
        for column, values in columns.items():
            if names[column] in spellings and (unit in _LIVING or len(set(values)) >= MANY):
                return column
    return None


def repeating_columns(columns: Mapping[str, Sequence[str]], splits: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that may name groups of an unknown kind: three values or more, some of them in several splits.

    Args:
        columns: values of each column, one per row.
        splits: of the rows; where they are all equal or empty, values that repeat at all count.
    """
    return tuple(column for column, values in columns.items() if _may_name_groups(values, splits))


def group_by_name(stems: Sequence[str]) -> NameGroups:
    """Group images whose names show that they are parts of one patient, volume or picture.

    A unit's word with a number (`patient001_s00`) or a part's mark after a number (`12_x0_y256`) is relied on. Two bare
    numbers are not, but the note reports them. Names such as `img_001` and `benign (3)` show nothing: each is a separate group.

    >>> group_by_name(["p1_s0", "p1_s1", "p2_s0", "p3_s0"]).groups
    {'p1_s0': 'p1', 'p1_s1': 'p1'}
    """
    shared = _stems_by_unit({stem: unit for stem in stems if (unit := _unit_of(stem)) is not None})
    count = len(stems) - sum(len(members) - 1 for members in shared.values())
    if shared and count >= MANY:
        named = {stem: unit for unit, members in shared.items() for stem in members}
        return NameGroups(named, f"by their file names the {len(stems)} images are {count} groups ({_example(shared)})")
    if any(_UNIT_AND_NUMBER.search(members[0]) for members in shared.values()):
        few = "one group" if count == 1 else "two groups"
        return NameGroups({}, f"by their file names the images are of {few} only ({_example(shared)})")
    numbered = _stems_by_unit({stem: match["unit"] for stem in stems if (match := _TWO_NUMBERS.match(stem))})
    if len(numbered) >= MANY:
        return NameGroups({}, f"some file names differ in a last number ({_example(numbered)}), as slices of one patient do")
    return NameGroups({}, "")


def _may_name_groups(values: Sequence[str], splits: Sequence[str]) -> bool:
    rows = [(value, split) for value, split in zip(values, splits, strict=True) if value and not _MEASURE.fullmatch(value)]
    distinct = {value for value, _ in rows}
    counts = Counter(value for value, _ in (set(rows) if len(set(splits)) > 1 else rows))
    return MANY <= len(distinct) < len(rows) and max(counts.values()) > 1


def _unit_of(stem: str) -> str | None:
    """Return the patient, volume or picture that a file is a part of by its name: the coarsest unit that is named."""
    match = min(_UNIT_AND_NUMBER.finditer(stem), key=_coarseness, default=None)
    if match is None:
        part = _PART_OF.match(stem)
        return part["unit"] if part else None
    # What comes before may count images: of that, only what has no number belongs to the unit's name.
    before = [word for word in re.split(_APART, stem[: match.start()]) if word and not re.search(r"\d", word)]
    return "_".join((*before, match.group().lstrip("_-. ")))


def _coarseness(match: re.Match[str]) -> int:
    return UNITS.index(match["word"].lower()) if match["word"] else len(UNITS)


def _stems_by_unit(units: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    """Return the units of two stems or more, with their stems."""
    members = defaultdict(list)
    for stem, unit in units.items():
        members[unit].append(stem)
    return {unit: tuple(stems) for unit, stems in members.items() if len(stems) > 1}


def _example(shared: Mapping[str, tuple[str, ...]]) -> str:
    unit, members = next(iter(shared.items()))
    return f"{len(members)} of {unit!r}, for example"
