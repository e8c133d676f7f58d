"""Peak memory of one artifact, measured in a fresh process for each sample, because a peak never decreases again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import u3p_edge
from u3p_edge.benchmark.result import Memory
from u3p_edge.errors import ModelError
from u3p_edge.progress import Step, idle


def measure_memory(path: Path, *, threads: int = 1, repeats: int = 1, step: Step = idle) -> Memory | None:
    """Measure the peak resident memory of `repeats` fresh processes that load and run an artifact.

    The result is None if the system does not report the peak memory.

    Raises:
        ModelError: the process failed, e.g. because it ran out of memory.
    """
    samples = []
    for _ in range(repeats):
        sample = _probe(path, threads)
        if sample is None:
            return None
        samples.append(sample)
        step()
    return Memory(tuple(s["baseline_mb"] for s in samples), tuple(s["peak_mb"] for s in samples))


def _probe(path: Path, threads: int) -> dict[str, float] | None:
    command = [sys.executable, "-m", "u3p_edge.benchmark.memory_probe", str(path), str(threads)]
    # The child then finds this very package, installed or not.
    search = os.pathsep.join(filter(None, (str(Path(u3p_edge.__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    variables = {**os.environ, "PYTHONPATH": search}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
    if done.returncode == 0:
        sample: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return sample
    reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    if "does not report the peak memory" in reason:
        return None
    raise ModelError(f"{path} cannot be run in a fresh process: {reason}", mend="Does the machine have enough memory?")
