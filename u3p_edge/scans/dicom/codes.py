"""The coded concepts of a segmentation's classes: what a program that knows no class names reads.

By default a class has a code of this program's own scheme, whose meaning is its name. A file can give codes of a terminology:

    [liver]
    category = ["123037004", "SCT", "Body structure"]
    type = ["10200004", "SCT", "Liver"]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from u3p_edge.errors import ConfigError
from u3p_edge.files.json_toml import MAX_TOML, parse_toml, read_text

OWN_SCHEME = "99U3PEDGE"
"""Scheme of the codes that are this program's; 99 marks a scheme that is nobody else's (PS3.16, 8)."""

_KEYS = ("category", "type")
_LENGTHS = (16, 16, 64)
"""Most characters of a code's value, scheme and meaning (PS3.3, 8.8; PS3.5, 6.2: SH and LO)."""


@dataclass(frozen=True)
class Concept:
    """A code of a terminology.

    Args:
        value: e.g. "10200004".
        scheme: e.g. "SCT" for SNOMED CT.
        meaning: e.g. "Liver".
    """

    value: str
    scheme: str
    meaning: str


@dataclass(frozen=True)
class SegmentCode:
    """What a segment shows.

    Args:
        category: of which kind it is (PS3.16, CID 7150).
        property_type: what it is (PS3.16, CID 7151).
    """

    category: Concept
    property_type: Concept


ANATOMY = Concept("123037004", "SCT", "Body structure")
"""The category of a class of which only the name is known."""


def default_codes(class_names: Sequence[str]) -> tuple[SegmentCode, ...]:
    """Return codes of this program's own scheme for all classes but the background.

    >>> default_codes(["background", "liver"])[0].property_type
    Concept(value='class-1', scheme='99U3PEDGE', meaning='liver')
    """
    return tuple(
        SegmentCode(ANATOMY, Concept(f"class-{index}", OWN_SCHEME, to_long_string(name)))
        for index, name in enumerate(class_names)
        if index
    )


def read_segment_codes(path: Path, class_names: Sequence[str]) -> tuple[SegmentCode, ...]:
    """Read the codes of all classes but the background; a class that the file does not name keeps its default.

    Args:
        path: a TOML file with a table for each class, as above.
        class_names: of the model, background first.

    Raises:
        ConfigError: the file cannot be read, names a class that the model does not have, or a code is not valid.
    """
    try:
        tables = parse_toml(read_text(path, MAX_TOML))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the segment codes {path} cannot be read: {error}") from error
    unknown = [name for name in tables if name not in class_names[1:]]
    if unknown:
        known = ", ".join(map(repr, class_names[1:]))
        raise ConfigError(f"{path} has codes of {unknown[0]!r}, which is no class of the model", mend=f"It has {known}.")
    defaults = default_codes(class_names)
    return tuple(
        _parse_codes(path, name, tables[name]) if name in tables else default
        for name, default in zip(class_names[1:], defaults, strict=True)
    )


def to_long_string(text: str) -> str:
    """Return a text as DICOM's long string (LO) holds it: without backslashes and control characters, of 64 characters at most.

    >>> to_long_string("left\\\\right")
    'left/right'
    """
    plain = "".join(character if character.isprintable() else " " for character in text.replace("\\", "/")).strip()
    return plain[: _LENGTHS[2]].strip() or "unnamed"


def _parse_codes(path: Path, name: str, table: Any) -> SegmentCode:
    if not isinstance(table, dict) or set(table) != set(_KEYS):
        raise ConfigError(f"{path}: the class {name!r} needs a category and a type, and nothing else")
    category, property_type = (_parse_concept(path, name, key, table[key]) for key in _KEYS)
    return SegmentCode(category, property_type)


def _parse_concept(path: Path, name: str, key: str, value: Any) -> Concept:
    texts = value if isinstance(value, list) else []
    fits = len(texts) == len(_LENGTHS) and all(
        isinstance(text, str) and 0 < len(text) <= most and to_long_string(text) == text
        for text, most in zip(texts, _LENGTHS, strict=True)
    )
    if not fits:
        raise ConfigError(
            f"{path}: the {key} of {name!r} is not a code: a value and a scheme of 16 characters at most, and a meaning of 64",
            mend=f'Write for example {key} = ["10200004", "SCT", "Liver"].',
        )
    return Concept(*texts)
