"""A fresh process that loads and runs one artifact and prints its peak memory as JSON.

Run as `python -m u3p_edge.benchmark.memory_probe ARTIFACT THREADS`.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

RUNS = 2


def peak_mb() -> float:
    """Return the peak resident memory of this process so far, in MB of 10^6 bytes.

    Raises:
        OSError: the system does not report it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        # Not ru_maxrss: on Linux a new program inherits that peak from the (large) process that started it.
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024 / 1e6
    try:
        resource = importlib.import_module("resource")
    except ImportError as error:
        raise OSError("this system does not report the peak memory of a process") from error
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 1e6  # macOS counts bytes


def main(artifact: str, threads: str) -> None:
    """Print {"baseline_mb": ..., "peak_mb": ...}."""
    import numpy as np

    from u3p_edge.runtime import open_session
    from u3p_edge.runtime.registry import runtime_of

    path, draw = Path(artifact), np.random.default_rng(0)  # loads NumPy's generators, which do not belong to the model
    runtime = runtime_of(path.suffix)
    for module in (runtime.module, *runtime.imports) if runtime else ():
        importlib.import_module(module)
    baseline = peak_mb()
    session = open_session(path, int(threads), max_memory_mb=None)  # the process that started this one has checked it
    image = draw.random(session.input_shape, dtype=np.float32)
    for _ in range(RUNS):
        session.run(image)
    print(json.dumps({"baseline_mb": baseline, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
