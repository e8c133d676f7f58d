"""The step summary of GitHub Actions, which shows what a step appends to the file named by $GITHUB_STEP_SUMMARY."""

from __future__ import annotations

import os
from pathlib import Path

from u3p_edge.errors import ArtifactError

VARIABLE = "GITHUB_STEP_SUMMARY"


def append_summary(markdown: str) -> bool:
    """Append to the step's summary; outside of GitHub Actions do nothing and return False.

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
