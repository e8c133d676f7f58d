"""Run a module of this package in a separate process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import u3p_edge


def command(module: str, *arguments: object) -> list[str]:
    """Return the command that starts `u3p_edge.benchmark.<module>` with this Python."""
    return [sys.executable, "-m", f"u3p_edge.benchmark.{module}", *map(str, arguments)]


def environment() -> Mapping[str, str]:
    """Return the environment variables for a child process, which then finds this very package, installed or not."""
    here = str(Path(u3p_edge.__file__).parents[1])
    search = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": search}
