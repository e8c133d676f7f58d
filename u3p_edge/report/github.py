"""GitHub Actions shows what a step appends to the file that $GITHUB_STEP_SUMMARY names."""

from __future__ import annotations

import os
from pathlib import Path

from u3p_edge.errors import ArtifactError

VARIABLE = "GITHUB_STEP_SUMMARY"


def append_summary(markdown: str) -> bool:
    """Append to the step's summary; False, and nothing done, outside of GitHub Actions.

    Raises:
        ArtifactError: the file cannot be written.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        return False
    try:
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(markdown.rstrip("\n") + "\n\n")
    except OSError as error:
        raise ArtifactError(f"{name}, which ${VARIABLE} names, cannot be written: {error.strerror}") from error
    return True
