"""A fresh process that loads and runs one artifact and prints its cold start and its peak memory as JSON.

Run as `python -m u3p_edge.benchmark.memory_probe ARTIFACT THREADS`.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from pathlib import Path

RUNS = 2


def peak_mb() -> float | None:
    """Return the peak resident memory of this process so far, in MB of 10^6 bytes; None where the system does not say."""
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: on Linux a new program inherits that peak from the (large) process that started it.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    try:
        resource = importlib.import_module("resource")
    except ImportError:
        return None
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1e6  # macOS counts bytes


def main(artifact: str, threads: str) -> None:
    """Print {"load_ms": ..., "first_ms": ..., "baseline_mb": ..., "peak_mb": ...}."""
    import numpy as np

    from u3p_edge.runtime import open_session
    from u3p_edge.runtime.registry import runtime_of

    path, draw = Path(artifact), np.random.default_rng(0)  # loads NumPy's generators, which do not belong to the model
    runtime = runtime_of(path.suffix)
    for module in (runtime.module, *runtime.imports) if runtime else ():
        importlib.import_module(module)
    baseline, began = peak_mb(), time.perf_counter_ns()
    session = open_session(path, int(threads), max_memory_mb=None)  # the process that started this one has checked it
    loaded = time.perf_counter_ns()
    image = draw.random(session.input_shape, dtype=np.float32)
    taken = []
    for _ in range(RUNS):
        start = time.perf_counter_ns()
        session.run(image)
        taken.append((time.perf_counter_ns() - start) / 1e6)
    cold = {"load_ms": (loaded - began) / 1e6, "first_ms": taken[0]}
    print(json.dumps({**cold, "baseline_mb": baseline, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
