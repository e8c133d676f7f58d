"""A cache of measured milliseconds, kept from one run of the program to the next.

An entry is a whole call: the milliseconds of some graphs that were timed side by side. The same graphs in the same order come
from the cache. Any other set of them is timed anew, because only figures of one run may be compared.

The cache is a file that may vanish, be damaged or belong to another version at any time. Then a new one is started.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from u3p_edge.artifact import read_json, write_json
from u3p_edge.errors import ArtifactError
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.probe import Target
from u3p_edge.latency.table.layer_key import layer_key
from u3p_edge.runtime.processor import describe_processor

PROBE_VERSION = 1
"""Incremented whenever the way graphs are timed or written changes, so that nothing measured before is used."""

FOLDER = "U3P_EDGE_CACHE"
"""Environment variable that names the folder of the cache."""

FILE = "latency.json"

Measure = Callable[[Sequence[Graph]], Sequence[float]]
"""A function that returns the milliseconds of each of some graphs, measured side by side."""

Calls = Mapping[str, tuple[float, ...]]
"""Milliseconds of each cached call, by its key."""


def cache_measure(measure: Measure, target: Target, folder: Path | None = None) -> Measure:
    """Return `measure` with a cache in front of it.

    Args:
        measure: called for what the cache does not hold.
        target: what it measures in.
        folder: the cache's folder; None means `default_folder()`.
    """
    path = (default_folder() if folder is None else folder) / FILE

    def remembered(graphs: Sequence[Graph]) -> Sequence[float]:
        key = _key(graphs, target)
        known = _read(path).get(key, ())
        if known and len(known) == len(graphs):
            return known
        measured = tuple(measure(graphs))
        # Read again: another process may have written while this one measured.
        _write(path, {**_read(path), key: measured})
        return measured

    return remembered


def default_folder() -> Path:
    """Return the folder that `U3P_EDGE_CACHE` names, else u3p_edge in the system's cache folder for the user."""
    given = os.environ.get(FOLDER)
    return Path(given) if given else _user_folder() / "u3p_edge"


def _user_folder() -> Path:
    if sys.platform == "win32" and os.environ.get("LOCALAPPDATA"):
        return Path(os.environ["LOCALAPPDATA"])
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"])
    try:
        home = Path.home()
    except RuntimeError:  # the user has no home folder
        return Path(tempfile.gettempdir())
    return home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"


def _key(graphs: Sequence[Graph], target: Target) -> str:
    parts = [describe_processor(), target.runtime, target.version, target.number, target.threads, *map(layer_key, graphs)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _read(path: Path) -> Calls:
    """Return the entries of the file; none if it is missing, not readable or not of this version."""
    try:
        value = read_json(path) if path.is_file() else {}
    except (ArtifactError, OSError):
        return {}
    calls = value.get("calls")
    if value.get("probe") != PROBE_VERSION or not isinstance(calls, dict):
        return {}
    return {key: tuple(times) for key, times in calls.items() if _are_times(times)}


def _are_times(value: object) -> bool:
    return isinstance(value, list) and all(type(time) is float and math.isfinite(time) and time > 0 for time in value)


def _write(path: Path, calls: Calls) -> None:
    try:
        write_json(path, {"probe": PROBE_VERSION, "calls": {key: list(times) for key, times in calls.items()}})
    except ArtifactError:
        return  # a cache that cannot be written only costs time
