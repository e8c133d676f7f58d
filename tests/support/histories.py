"""Histories of made-up results: commit after commit, on one machine or on several."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from tests.support.sample_results import result
from u3p_edge.benchmark.commit import Commit
from u3p_edge.benchmark.history import record
from u3p_edge.benchmark.result import RunResult

START = datetime(2026, 1, 1, tzinfo=timezone.utc)


def commit_at(position: int) -> Commit:
    """A commit of each day; its name does not sort by date."""
    return Commit(hashlib.sha1(str(position).encode()).hexdigest(), (START + timedelta(days=position)).isoformat())


def on_machine(value: RunResult, cpu: str) -> RunResult:
    """The result on another processor."""
    return dataclasses.replace(value, environment=dataclasses.replace(value.environment, cpu=cpu))


def write_history(folder: Path, relative: Sequence[float], *, cpu: str = "Some CPU", slowness: float = 1) -> None:
    """Write a history in which the int8 file takes so much of the float file's time at each commit, at 1 thread."""
    for position, share in enumerate(relative):
        value = result(relative=share, seed=10 * position, slowness=slowness)
        files = tuple(dataclasses.replace(a, latencies=a.latencies[:1]) for a in value.artifacts)
        record(folder, on_machine(dataclasses.replace(value, artifacts=files), cpu), commit_at(position))
