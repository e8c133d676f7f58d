"""Times and peak memory from few and short samples, for tests that do not look at what these say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from u3p_edge.benchmark import memory
from u3p_edge.latency import clock, probe, quiet_timer
from u3p_edge.progress import Step, idle

CLOCK = {"SAMPLE_MS": 0.05}
PROBE = {"MAXIMUM_ROUNDS": 2}
TIMER = {"PASSES": 1, "REFERENCE_MS": 0.1}
"""Constants of the modules `clock`, `probe` and `quiet_timer`."""

IN_A_PROCESS = f"""
from u3p_edge.latency import clock, probe, quiet_timer
for module, constants in ((clock, {CLOCK!r}), (probe, {PROBE!r}), (quiet_timer, {TIMER!r})):
    for name, value in constants.items():
        setattr(module, name, value)
"""
"""Code that does the same to the times of another process."""

FRESH: dict[str, memory.FreshProcesses] = {}
"""What a fresh process showed of the first file of each kind, by suffix."""


@contextlib.contextmanager
def measure_hastily() -> Iterator[None]:
    """Take few and short samples in the block: two rounds of each time, and one process for the memory of all files of a kind,
    as each takes longer than all else that is measured of a small file."""
    measure = memory.measure_fresh_processes

    def measure_once(path: Path, *, threads: int = 1, repeats: int = 1, step: Step = idle) -> memory.FreshProcesses:
        for _ in range(repeats):
            step()
        if path.suffix not in FRESH:
            FRESH[path.suffix] = measure(path, threads=threads)
        return FRESH[path.suffix]

    with pytest.MonkeyPatch.context() as patch:
        for module, constants in ((clock, CLOCK), (probe, PROBE), (quiet_timer, TIMER)):
            for name, value in constants.items():
                patch.setattr(module, name, value)
        patch.setattr(memory, "measure_fresh_processes", measure_once)
        yield
