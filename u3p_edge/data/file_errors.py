"""Add a file's name to errors about values that were read from it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from u3p_edge.errors import DataError


@contextlib.contextmanager
def name_file(path: Path) -> Iterator[None]:
    """Raise any DataError of the block with `path` before its symptom."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{path}: {error.symptom}", mend=error.mend) from error
