"""Bytes of a sound file, damaged: a strategy of edits, and how they are applied."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from hypothesis import strategies as st

NUMBERS = (
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    16,
    127,
    128,
    255,
    256,
    32767,
    65535,
    65536,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
"""At which readers change their mind."""


@dataclass(frozen=True)
class Edit:
    """One damage, at a share of the file's length: "flip" a bit, "set" an integer of 1, 2, 4 or 8 bytes, "add" to one,
    "cut" the rest, "drop", "double" or "move" a block."""

    kind: str
    place: float
    other: float
    number: int
    width: int


EDITS = st.lists(
    st.builds(
        Edit,
        kind=st.sampled_from(("flip", "set", "set", "set", "add", "add", "cut", "drop", "double", "move")),
        place=st.floats(0, 1, exclude_max=True),
        other=st.floats(0, 1, exclude_max=True),
        number=st.one_of(st.sampled_from(NUMBERS), st.integers(0, 40)),
        width=st.sampled_from((1, 1, 2, 4, 4, 4, 8)),
    ),
    min_size=1,
    max_size=4,
)


def apply(data: bytes, edits: list[Edit]) -> bytes:
    """The file with every edit, one after another."""
    for edit in edits:
        data = _apply(data, edit) if data else data
    return data


def _apply(data: bytes, edit: Edit) -> bytes:
    place = int(edit.place * len(data))
    block = max(1, int(edit.other * min(256, len(data))))
    if edit.kind == "flip":
        return data[:place] + bytes([data[place] ^ 1 << edit.number % 8]) + data[place + 1 :]
    if edit.kind in ("set", "add"):
        place -= place % edit.width  # the integers of most formats are aligned
        old = data[place : place + edit.width]
        if len(old) < edit.width:
            return data
        added = int.from_bytes(old, "little") if edit.kind == "add" else 0
        new = (added + edit.number * (-1 if edit.kind == "add" and edit.other < 0.5 else 1)) % (1 << 8 * edit.width)
        return data[:place] + struct.pack("<Q", new)[: edit.width] + data[place + edit.width :]
    if edit.kind == "cut":
        return data[:place]
    if edit.kind == "drop":
        return data[:place] + data[place + block :]
    target = place if edit.kind == "double" else int(edit.other * len(data))
    return data[:target] + data[place : place + block] + data[target:]
