"""Printing for every command: text of strangers is made safe, what an encoding lacks is replaced, and nothing is cut off."""

from __future__ import annotations

import codecs
import io
import os
import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, TextIO

from u3p_edge.text import to_encodable, to_terminal

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

ERRORS = "u3p_edge.readable"
"""Name of the error handler of both standard streams."""

WIDE = 100_000
"""Columns of a file or a pipe: lines are as long as they need to be."""


def prepare_streams() -> None:
    """Make both standard streams print any text in their own encoding; nothing that is printed raises UnicodeEncodeError."""
    codecs.register_error(ERRORS, to_encodable)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ERRORS)


def open_stderr(descriptor: int) -> TextIO:
    """Standard error on another descriptor, in its own encoding; `prepare_streams` has run."""
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    return os.fdopen(descriptor, "w", buffering=1, encoding=encoding, errors=ERRORS)


def console(*, stderr: bool = False) -> Console:
    """A rich console that reads no emoji codes into text, and that is as wide as it must be where it is no terminal."""
    from rich.console import Console

    plain = Console(stderr=stderr, emoji=False, highlight=False)
    if plain.is_terminal or "COLUMNS" in os.environ:
        return plain
    return Console(stderr=stderr, emoji=False, highlight=False, width=WIDE)


def plain_text(text: str, style: str = "") -> Text:
    """Return text of unknown origin as rich prints it: neither markup nor control characters."""
    from rich.text import Text

    return Text(to_terminal(text), style)


def say(text: str, style: str = "", *, stderr: bool = False) -> None:
    """Print one line, whoever wrote its words; a terminal wraps it where it must."""
    console(stderr=stderr).print(plain_text(text, style), soft_wrap=True)


def say_note(sentence: str) -> None:
    """Print a note on standard error, where the progress is: something is not as it was expected, and is dealt with."""
    say(f"Note: {sentence}", stderr=True)


def print_list(sentences: Sequence[str]) -> None:
    """Print one item a sentence, its further lines indented; the reports' marks for bold are left out."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 1))
    for sentence in sentences:
        grid.add_row("•", plain_text(sentence.replace("**", "")))
    console().print(grid)


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    *,
    title: str = "",
    words: Collection[str] | None = None,
) -> None:
    """Print a table.

    Args:
        header: titles of the columns.
        rows: cells; a `Text` is printed as it is.
        title: above it; empty for none.
        words: titles of the columns that hold words, aligned to the left and wrapped; None for the first column alone. The
            others hold figures, aligned to the right and never wrapped: a figure in two lines would be two figures.
    """
    console().print(make_table(header, rows, title=title, words=words))


def make_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    *,
    title: str = "",
    words: Collection[str] | None = None,
) -> Table:
    """The table of `print_table`."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title=plain_text(title) if title else None, title_justify="left"
    )
    left = {header[0]} if words is None else set(words)
    for name in header:
        # Titles are of this package, some of two lines, but class names are among them.
        heading = Text("\n").join(plain_text(line) for line in name.split("\n"))
        table.add_column(heading, justify="left" if name in left else "right", overflow="fold", no_wrap=name not in left)
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else plain_text(cell) for cell in row))
    return table
