"""Find the mask and the row of split.csv of each image: by stem, or by what is left of the stem without suffixes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from u3p_edge.data.formats import SUFFIXES
from u3p_edge.data.table import Row, Table, last_part


def pair_masks(images: Mapping[str, Path], masks: Mapping[str, Path]) -> Mapping[str, Path]:
    """Return masks by their image's stem, and masks without an image by the mask's stem."""
    alone = _by_base(stem for stem in images if stem not in masks)
    others = _by_base(stem for stem in masks if stem not in images)

    def image_of(stem: str) -> str:
        base = _base(stem)
        clear = stem not in images and len(alone[base]) == len(others[base]) == 1
        return alone[base][0] if clear else stem

    return {image_of(stem): path for stem, path in masks.items()}


def match_rows(table: Table, path: Path, files: Mapping[str, Path]) -> tuple[Mapping[str, Row], tuple[str, ...]]:
    """Return the row of each stem in `files`, and problems of rows. A row names a file, a stem, or either without suffixes."""
    by_file = {last_part(file.name): stem for stem, file in files.items()}
    by_base = _by_base(files)
    rows: dict[str, Row] = {}
    problems = []
    for row in table.rows:
        same_base = by_base[_base(row.name)]
        near = same_base[0] if len(same_base) == 1 else None
        stem = by_file.get(row.name) or (row.name if row.name in files else near)
        if stem is None:
            problems.append(f"{path} lists {row.name!r}, which is not in {path.parent / 'images'}")
        elif stem in rows:
            problems.append(f"{path} lists {row.name!r} more than once (lines {rows[stem].line} and {row.line})")
        else:
            rows[stem] = row
    return rows, tuple(problems)


def _by_base(stems: Iterable[str]) -> Mapping[str, Sequence[str]]:
    """Return stems by what is left without suffixes; an empty list for a base that no stem has."""
    by_base: dict[str, list[str]] = defaultdict(list)
    for stem in stems:
        by_base[_base(stem)].append(stem)
    return by_base


def _base(name: str) -> str:
    """Return a name without any suffixes of pictures: `x1` of `x1.jpg.png`."""
    suffix = next((s for s in SUFFIXES if name.lower().endswith(s) and len(name) > len(s)), None)
    return name if suffix is None else _base(name[: -len(suffix)])
