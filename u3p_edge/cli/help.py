"""The help of commands: plain text, in which option names are never cut and examples stay as they are written."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

KEEP = "\b"
"""What click reads at the beginning of a paragraph whose lines it must not wrap."""


def help_of(command: Callable[..., Any]) -> str:
    """A command's docstring for click; paragraphs that are indented, the examples, keep their lines."""
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    return "\n\n".join(f"{KEEP}\n{text}" if text.startswith(" ") else text for text in paragraphs)
