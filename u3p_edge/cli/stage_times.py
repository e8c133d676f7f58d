"""How long the stages of a command took the last time, so that the next time says how many there are and how long they take.

How many stages an export has depends on what pruning and quantization find, so it is known only of an export that was made
before, with the same options. The times are a file in the cache folder, which may vanish or be damaged: then nothing is known.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.artifact import read_json, write_json
from u3p_edge.errors import ArtifactError

FILE = "stages.json"
SCHEMA = 1
MOST = 200
"""Commands that are remembered; the oldest go."""

Times = tuple[tuple[str, float], ...]
"""Name and seconds of each stage, in order."""


@dataclass(frozen=True)
class StageTimes:
    """The stages of one command with its options.

    Args:
        file: of the cache.
        key: of the command and its options.
        before: of its last whole run; empty where there was none.
    """

    file: Path
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
        kept = {key: value for key, value in _read(self.file).items() if key != self.key}
        newest = dict(list(kept.items())[-(MOST - 1) :])
        value = {key: [list(stage) for stage in stages] for key, stages in {**newest, self.key: times}.items()}
        try:
            # A list, since JSON objects are written in the order of their keys.
            write_json(self.file, {"schema": SCHEMA, "commands": list(value.items())})
        except ArtifactError:
            return  # what cannot be remembered costs nothing else


def read_stage_times(folder: Path, *parts: str) -> StageTimes:
    """What is known of a command.

    Args:
        folder: of the cache.
        parts: the command and all options that decide its stages.
    """
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    file = folder / FILE
    return StageTimes(file, key, _read(file).get(key, ()))


def _read(file: Path) -> Mapping[str, Times]:
    try:
        value = read_json(file) if file.is_file() else {}
    except (ArtifactError, OSError):
        return {}
    commands = value.get("commands")
    if value.get("schema") != SCHEMA or not isinstance(commands, list):
        return {}
    pairs = (entry for entry in commands if isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str))
    return {key: tuple((name, seconds) for name, seconds in stages) for key, stages in pairs if _are_times(stages)}


def _are_times(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(stage, list)
        and len(stage) == 2
        and isinstance(stage[0], str)
        and type(stage[1]) is float
        and math.isfinite(stage[1])
        and stage[1] >= 0
        for stage in value
    )
