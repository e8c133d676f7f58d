"""What the functions of the API share in reading their arguments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from u3p_edge.latency.probe import Target


def as_path(path: str | Path | None) -> Path | None:
    """Return a path that was given as text or as a path; None where none was given."""
    return None if path is None else Path(path)


def as_target(name: str, threads: int) -> Target:
    """Return the target of a name such as "tflite-int8". Raises ConfigError where there is none."""
    from u3p_edge.latency.probe import Target

    runtime, _, number = name.partition("-")
    return Target(number, threads, runtime)
