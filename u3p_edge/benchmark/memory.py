"""Peak memory and cold start of one artifact, measured in a fresh process for each sample.

A peak never decreases again, and a process that has run a file once is no longer cold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import u3p_edge
from u3p_edge.benchmark.cold_start import ColdStart
from u3p_edge.benchmark.result import Memory
from u3p_edge.errors import ModelError
from u3p_edge.progress import Step, idle


@dataclass(frozen=True)
class FreshProcesses:
    """What fresh processes showed; the memory is None where the system does not report the peak of a process."""

    memory: Memory | None
    cold_start: ColdStart


def measure_fresh_processes(path: Path, *, threads: int = 1, repeats: int = 1, step: Step = idle) -> FreshProcesses:
    """Measure `repeats` fresh processes, at least one, that load an artifact and run it.

    Raises:
        ModelError: the process failed, e.g. because it ran out of memory.
    """
    samples = []
    for _ in range(repeats):
        samples.append(_probe(path, threads))
        step()
    baselines, peaks = ([peak for s in samples if (peak := s[key]) is not None] for key in ("baseline_mb", "peak_mb"))
    memory = Memory(tuple(baselines), tuple(peaks)) if peaks else None
    load_ms, first_ms = ([s[key] or 0.0 for s in samples] for key in ("load_ms", "first_ms"))
    return FreshProcesses(memory, ColdStart(tuple(load_ms), tuple(first_ms)))


def _probe(path: Path, threads: int) -> dict[str, float | None]:
    command = [sys.executable, "-m", "u3p_edge.benchmark.memory_probe", str(path), str(threads)]
    # The child then finds this very package, installed or not.
    search = os.pathsep.join(filter(None, (str(Path(u3p_edge.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    variables = {**os.environ, "PYTHONPATH": search}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode == 0:
        sample: dict[str, float | None] = json.loads(done.stdout.splitlines()[-1])
        return sample
    reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    raise ModelError(f"{path} cannot be run in a fresh process: {reason}", mend="Does the machine have enough memory?")
