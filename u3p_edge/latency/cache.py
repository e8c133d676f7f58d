"""A cache of measured milliseconds, kept from one run of the program to the next.

An entry is a whole call: the milliseconds of some graphs that were timed side by side. The same graphs in the same order come
from the cache. Any other set of them is timed anew, because only figures of one run may be compared.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

from u3p_edge.cache import JsonCache, default_folder
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.probe import Target
from u3p_edge.latency.table.layer_key import layer_key
from u3p_edge.runtime.processor import describe_processor

PROBE_VERSION = 3
"""Incremented whenever the way graphs are timed or written changes, so that nothing measured before is used."""

FILE = "latency.json"

Measure = Callable[[Sequence[Graph]], Sequence[float]]
"""A function that returns the milliseconds of each of some graphs, measured side by side."""


def cache_measure(measure: Measure, target: Target, folder: Path | None = None) -> Measure:
    """Return `measure` with a cache in front of it.

    Args:
        measure: called for what the cache does not hold.
        target: what it measures in.
        folder: the cache's folder; None means `default_folder()`.
    """
    cache = JsonCache((default_folder() if folder is None else folder) / FILE, PROBE_VERSION)

    def measure_once(graphs: Sequence[Graph]) -> Sequence[float]:
        key = _key(graphs, target)
        known = _as_times(cache.get(key), len(graphs))
        if known:
            return known
        measured = tuple(measure(graphs))
        cache.put(key, list(measured))
        return measured

    return measure_once


def _key(graphs: Sequence[Graph], target: Target) -> str:
    parts = [describe_processor(), target.runtime, target.version, target.number, target.threads, *map(layer_key, graphs)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _as_times(value: object, count: int) -> tuple[float, ...]:
    """Return a cached value as so many milliseconds; empty where it is none."""
    if not isinstance(value, list) or len(value) != count:
        return ()
    valid = all(type(time) is float and math.isfinite(time) and time > 0 for time in value)
    return tuple(value) if valid else ()
