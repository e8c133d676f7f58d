"""A history: one JSON file for each commit and machine, with the figures that were measured there.

A folder holds the history of one set of files. The file of a commit and a machine is replaced when they are measured again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.benchmark.commit import Commit, parse_date
from u3p_edge.benchmark.figures import Figure, list_figures
from u3p_edge.benchmark.result import Environment, RunResult
from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ArtifactError, ConfigError
from u3p_edge.files.atomic import read_json, write_json

SCHEMA = 1
"""Version of the JSON form."""


@dataclass(frozen=True)
class HistoryEntry:
    """What was measured of one commit on one machine.

    Args:
        commit: the commit.
        environment: the machine, and the libraries that ran the files.
        figures: of every file.
        schema: version of the JSON form.
    """

    commit: Commit
    environment: Environment
    figures: tuple[Figure, ...]
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ConfigError(f"history schema {self.schema} is not {SCHEMA}", mend="Use the version that wrote it.")
        if not all(math.isfinite(number) for one in self.figures for number in (one.value, one.low, one.high)):
            raise ConfigError("a figure is NaN or infinite")
        if len({(one.file, one.title) for one in self.figures}) < len(self.figures):
            raise ConfigError("a file has a figure twice")

    @property
    def machine(self) -> str:
        """A short name of the kind of machine; only figures of one kind are compared."""
        return machine_key(self.environment)

    @property
    def file_name(self) -> str:
        """The name of its file, which no other commit and machine has."""
        return f"{self.commit.name}.{self.machine}.json"


def machine_key(environment: Environment) -> str:
    """Return a name for the kind of machine: 8 digits of a hash of system, processor, its features, and the number of cores.

    Versions of the system and of libraries are not part of it: a change by one of them belongs in the history.
    """
    e = environment
    parts = (e.system.split(" ")[0], e.machine, e.cpu, e.features, e.cores)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


def record(folder: Path, result: RunResult, commit: Commit) -> Path:
    """Write the figures of a result into the history of a folder, in place of those of the same commit and machine.

    Returns:
        The path of the file.

    Raises:
        ArtifactError: it cannot be written.
    """
    entry = HistoryEntry(commit, result.environment, list_figures(result))
    path = folder / entry.file_name
    write_json(path, dataclasses.asdict(entry))
    return path


def read_history(folder: Path) -> tuple[HistoryEntry, ...]:
    """Read the history of a folder, the oldest commit first, as their dates say.

    Raises:
        ArtifactError: there is no such folder or no JSON file in it, a file that is no entry, or two of one commit and machine.
    """
    if not folder.is_dir():
        raise ArtifactError(f"{folder} is not a folder", mend="Name the folder that `u3p-edge bench --history` writes to.")
    entries: dict[tuple[str, str], tuple[Path, HistoryEntry]] = {}
    for path in sorted(folder.glob("*.json")):
        entry = read_entry(path)
        other, _ = entries.setdefault((entry.commit.name, entry.machine), (path, entry))
        if other != path:
            raise ArtifactError(f"{path} and {other} are of the same commit and machine", mend="Remove one of them.")
    if not entries:
        raise ArtifactError(f"{folder} holds no history", mend="Add to it with `u3p-edge bench --history`.")
    return _sort([entry for _, entry in entries.values()])


def read_entry(path: Path) -> HistoryEntry:
    """Read one file of a history. Raises ArtifactError that names it."""
    try:
        return from_dict(HistoryEntry, read_json(path))
    except ConfigError as error:
        raise ArtifactError(f"{path} is not of a history: {error}", mend="Remove it, or measure the commit again.") from error


def _sort(entries: Sequence[HistoryEntry]) -> tuple[HistoryEntry, ...]:
    return tuple(sorted(entries, key=lambda entry: (parse_date(entry.commit.date), entry.commit.name, entry.machine)))
