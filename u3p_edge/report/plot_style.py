"""What all plots of a report share: size, colours, text that stays text, and the same bytes for the same figure."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING, Any

from u3p_edge.config.metadata import PALETTE

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from matplotlib.figure import Figure

WIDTH = 7.6
"""Width of a picture in inches."""

COLOURS = {"float32": PALETTE[5], "float16": PALETTE[3], "int8": PALETTE[6]}
"""Colour of each number type, which colour-blind readers can distinguish too."""

OTHER = PALETTE[7]
"""Colour of every other number type."""

STYLE = {
    "font.size": 9,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "u3p_edge",  # the same names of elements in every run
    "text.parse_math": False,  # a dollar sign in a name is no formula
}


def plot_context() -> AbstractContextManager[Any]:
    """Return matplotlib's settings for the block in which a figure is made and written.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    from matplotlib import rc_context

    return rc_context(STYLE)  # type: ignore[arg-type]  # its stub lists the keys as literals


def colour_of(format: str) -> str:
    """Return the colour of a file format's number type, such as that of "tflite-int8", as "#rrggbb"."""
    return to_hex(COLOURS.get(format.partition("-")[2], OTHER))


def to_hex(colour: tuple[int, int, int]) -> str:
    """Return a colour of `PALETTE` as "#rrggbb"."""
    return "#" + bytes(colour).hex()


def to_svg(figure: Figure) -> bytes:
    """Return a figure as an SVG document in UTF-8, within `plot_context`; the same figure gives the same bytes.

    Names of files and classes may hold characters that matplotlib's own font lacks. They stay text, which the reader's fonts
    show, so its warnings of missing glyphs mean nothing here.
    """
    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
        figure.savefig(picture, format="svg", metadata={"Date": None})
    return picture.getvalue()
