"""What GitHub Actions shows of a step: its summary, which is the file that $GITHUB_STEP_SUMMARY names, and annotations, which
are lines of its output (workflow commands)."""

from __future__ import annotations

import os
from pathlib import Path

from u3p_edge.benchmark.checks import Verdict
from u3p_edge.errors import ArtifactError

LEVELS = {"regressed": "error", "inconclusive": "warning", "incomparable": "warning", "missing": "warning"}
"""How serious an annotation is, by the outcome; what passed has none."""

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


def render_annotations(verdict: Verdict) -> str:
    """Return one workflow command for each check that did not pass; empty where all passed."""
    lines = [
        f"::{LEVELS[check.outcome]} title={_escape_property(f'{check.artifact}, {check.title}')}::{_escape(check.reason)}\n"
        for check in verdict.checks
        if check.outcome in LEVELS
    ]
    return "".join(lines)


def _escape(text: str) -> str:
    """Return text as the data of a workflow command has it, on one line."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
