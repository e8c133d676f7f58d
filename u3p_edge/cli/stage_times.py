"""How long the stages of a command took the last time, so that the next time says how many there are and how long they take.

How many stages an export has depends on what pruning and quantization find, so it is known only of an export that was made
before, with the same options.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from u3p_edge.cache import JsonCache

FILE = "stages.json"
VERSION = 2
MOST = 200
"""Commands that are remembered; the oldest go."""

Times = tuple[tuple[str, float], ...]
"""Name and seconds of each stage, in order."""


@dataclass(frozen=True)
class StageTimes:
    """The stages of one command with its options.

    Args:
        cache: where they are kept.
        key: of the command and its options.
        before: of its last whole run; empty where there was none.
    """

    cache: JsonCache
    key: str
    before: Times = ()

    @property
    def total(self) -> int | None:
        """Number of stages; None where it is not known."""
        return len(self.before) or None

    @property
    def seconds(self) -> float | None:
        """Of all stages together; None where they are not known."""
        return sum(seconds for _, seconds in self.before) if self.before else None

    def left(self, names: tuple[str, ...]) -> float | None:
        """Seconds that the last of these stages and all after it took, given the names of the stages begun so far; None where
        this run differs from the last one."""
        known = tuple(name for name, _ in self.before[: len(names)])
        if not names or known != names:
            return None
        return sum(seconds for _, seconds in self.before[len(names) - 1 :])

    def save(self, times: Times) -> None:
        """Remember a whole run. One that went on after an interruption skips stages: of these the longer run is kept."""
        if len(times) < len(self.before):
            return
        self.cache.put(self.key, [list(stage) for stage in times])


def read_stage_times(folder: Path, *parts: str) -> StageTimes:
    """What is known of a command.

    Args:
        folder: of the cache.
        parts: the command and all options that decide its stages.
    """
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    cache = JsonCache(folder / FILE, VERSION, MOST)
    value = cache.get(key)
    before = tuple((name, seconds) for name, seconds in value) if _are_times(value) else ()
    return StageTimes(cache, key, before)


def _are_times(value: object) -> TypeGuard[list[list[Any]]]:
    return isinstance(value, list) and all(
        isinstance(stage, list)
        and len(stage) == 2
        and isinstance(stage[0], str)
        and type(stage[1]) is float
        and math.isfinite(stage[1])
        and stage[1] >= 0
        for stage in value
    )
