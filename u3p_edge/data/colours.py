"""Masks whose colours are classes: read the table of colours, and turn a picture's colours into the values of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.data.formats import JPEG, JPEG_MEND
from u3p_edge.data.groups import column_key
from u3p_edge.data.intensity import row_slices
from u3p_edge.data.labels import is_colour, is_number
from u3p_edge.data.table import read_rows
from u3p_edge.errors import ConfigError, DataError

ColourValues = tuple[tuple[str, int], ...]
"""(colour as #rrggbb, value) pairs."""

COLUMNS = "Its columns are r, g and b (0 to 255), or colour (#rrggbb), and class; without class, lines are numbered from 0."

_CHANNELS = (("r", "red"), ("g", "green"), ("b", "blue"))
_COLOUR = ("colour", "color", "hex", "rgb")
_CLASS = ("class", "classid", "classindex", "id", "index", "label", "labelid", "value", "trainid")


def parse_colours(text: str) -> ColourValues:
    """Parse "#000000:0,#ff0000:1", or read the table in the CSV file of that name.

    Raises:
        ConfigError: text that begins with # and is not of this form. DataError: a file that is no such table.

    >>> parse_colours("#000000:0, #FF0000:1")
    (('#000000', 0), ('#ff0000', 1))
    """
    if not text.startswith("#"):
        return read_colour_table(Path(text)) if text else ()
    pairs = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        colour, colon, value = (piece.strip() for piece in part.partition(":"))
        if not (colon and is_number(value)):
            raise ConfigError(f"--mask-colours: {part!r} is not COLOUR:CLASS", mend="Give for example '#000000:0,#ff0000:1'.")
        pairs.append((colour.lower(), int(value)))
    return tuple(pairs)


def read_colour_table(path: Path) -> ColourValues:
    """Read colours and their values from a CSV file, as data sets bring it along: a header, then one colour a line.

    Raises:
        DataError: the file cannot be read, lacks a column, or a line has no colour or class; the message names it.
    """
    header, lines = read_rows(path)
    keys = [column_key(name) for name in header]
    channels = [_column(keys, names) for names in _CHANNELS]
    colour, value = _column(keys, _COLOUR), _column(keys, _CLASS)
    if not lines or (colour is None and None in channels):
        raise DataError(f"{path} is no table of colours", mend=COLUMNS)
    pairs = []
    for position, (number, row) in enumerate(lines):
        cells = dict(enumerate(row))
        text = _join([cells.get(c, "") for c in channels if c is not None]) if colour is None else cells.get(colour, "").lower()
        index = str(position) if value is None else cells.get(value, "")
        if not is_colour(text) or not is_number(index):
            raise DataError(f"{path}, line {number} is no colour and its class: {', '.join(row)}", mend=COLUMNS)
        pairs.append((text, int(index)))
    return tuple(pairs)


def colours_to_values(pixels: npt.NDArray[np.uint8], colours: Sequence[tuple[str, int]], path: Path) -> npt.NDArray[Any]:
    """Return the value of each pixel's colour.

    Args:
        pixels: uint8 [H, W, 3], RGB.
        colours: (colour, value) pairs, at least one; values are 0 to 65535.
        path: of the mask.

    Returns:
        uint8 [H, W], or uint16 where a value is above 255.

    Raises:
        DataError: a colour that `colours` lacks: names it, and counts its pixels.
    """
    table = sorted((int(colour[1:], 16), value) for colour, value in colours)
    known = np.array([code for code, _ in table], np.uint32)
    values = np.array([value for _, value in table])
    out = np.empty(pixels.shape[:2], np.uint8 if values.max() < 256 else np.uint16)
    unknown = []
    for rows in row_slices(pixels):
        red, green, blue = np.moveaxis(pixels[rows].astype(np.uint32), 2, 0)
        codes = red << 16 | green << 8 | blue
        positions = np.minimum(np.searchsorted(known, codes), len(known) - 1)
        out[rows] = values[positions]
        unknown.append(codes[known[positions] != codes])
    if any(part.size for part in unknown):
        raise _unknown_colour(np.concatenate(unknown), path)
    return out


def _unknown_colour(codes: npt.NDArray[np.uint32], path: Path) -> DataError:
    present, counts = np.unique(codes, return_counts=True)
    code, pixels, others = int(present[counts.argmax()]), int(counts.max()), len(present) - 1
    more = f", and {others} more such colour{'s' * (others > 1)}" if others else ""
    mend = JPEG_MEND if path.suffix.lower() in JPEG else f"Add #{code:06x}:CLASS to it, or correct the mask."
    return DataError(
        f"the mask {path} has {pixels:,} pixel{'s' * (pixels > 1)} of the colour #{code:06x}, which --mask-colours does not "
        f"name{more}",
        mend=mend,
    )


def _column(keys: Sequence[str], names: Sequence[str]) -> int | None:
    positions: Mapping[str, int] = {key: i for i, key in reversed(list(enumerate(keys)))}
    return next((positions[name] for name in names if name in positions), None)


def _join(channels: Sequence[str]) -> str:
    """Return "#rrggbb" for three numbers in decimal; empty where one is none of 0 to 255."""
    good = all(is_number(one) and int(one) <= 255 for one in channels)
    return "#" + "".join(f"{int(one):02x}" for one in channels) if good else ""
