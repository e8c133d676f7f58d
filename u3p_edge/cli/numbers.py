"""Lists of numbers and sizes as they are written on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from u3p_edge.errors import ConfigError

SizeOption = Annotated[
    str | None, typer.Option("--size", metavar="HxW", help="Image's size, for a Keras or ONNX file that leaves it open.")
]
"""The flag of a command that reads float models."""


def numbers(text: str, option: str) -> tuple[float, ...]:
    """The numbers of a comma-separated list, e.g. "123.7, 116.8, 103.9"; none for an empty text.

    Raises:
        ConfigError: an item is no number; names the option.
    """
    items = [item.strip() for item in text.split(",")] if text.strip() else []
    try:
        return tuple(float(item) for item in items)
    except ValueError as error:
        raise ConfigError(
            f"{option} {text!r} is not a comma-separated list of numbers", mend=f"Give for example {option} 123.7,116.8,103.9."
        ) from error


def parse_size(text: str) -> tuple[int, int]:
    """The height and the width of a size, e.g. "192x224".

    Raises:
        ConfigError: it is no size.
    """
    height, _, width = text.lower().partition("x")
    # Only plain digits, and few of them: "²" is a digit too, and Python refuses to read thousands.
    if not all(part.isascii() and part.isdigit() and len(part) <= 6 for part in (height, width)):
        raise ConfigError(f"--size {text!r} is not HEIGHTxWIDTH", mend="Give for example --size 192x224.")
    return int(height), int(width)
