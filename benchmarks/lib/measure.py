"""Measure files of networks with random weights side by side: latency and memory, never accuracy."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.lib.core_distance import time_messages
from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.memory import measure_fresh_processes
from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.timing import time_sessions
from u3p_edge.latency.clock import processor_clock
from u3p_edge.manifest import sha256_of
from u3p_edge.progress import Progress
from u3p_edge.runtime import open_session
from u3p_edge.text import thread_count


def measure_files(
    files: Mapping[str, tuple[Path, str]], size: int, rounds: int, threads: Sequence[int], command: str, progress: Progress
) -> RunResult:
    """Measure latency, all files interleaved at each number of threads, and the peak memory of the TFLite files.

    At one thread that is processor time: other programs interrupt a file of seconds in every round, and one of milliseconds
    hardly ever, so elapsed time would make the ratio of the two too large.

    Args:
        files: path and runtime (see `u3p_edge.runtime.registry`) of each artifact by its name; the first is the reference.
        size: height and width of the grey image.
        rounds: interleaved rounds.
        threads: numbers of threads.
        command: the command that was typed, for the record.
        progress: shows the stages.
    """
    image = np.random.default_rng(0).random((size, size, 1), dtype=np.float32)
    results: dict[str, ArtifactResult] = {}
    for count in threads:
        sessions = {name: open_session(path, count, runtime=runtime) for name, (path, runtime) in files.items()}
        step = progress(f"Time at {thread_count(count)}", rounds)
        with time_messages(count) as distance:
            timed = time_sessions(
                list(sessions.values()), image, count, rounds=rounds, warmup=1, step=step, covariate=distance,
                clock=processor_clock(count),
            )  # fmt: skip
        for (name, session), latency in zip(sessions.items(), timed.latencies, strict=True):
            path = files[name][0]
            fresh = ArtifactResult(name, session.format, sha256_of(path), path.stat().st_size, session.input_shape)
            before = results.get(name, fresh)
            results[name] = dataclasses.replace(before, latencies=(*before.latencies, latency))
    measured = [name for name, (_, runtime) in files.items() if runtime == "tflite"]
    step = progress("Measure memory in fresh processes", 3 * len(measured))
    for name in measured:
        cold = measure_fresh_processes(files[name][0], repeats=3, step=step)
        results[name] = dataclasses.replace(results[name], memory=cold.memory, cold_start=cold.cold_start)
    classes = ("background", "class 1")
    return RunResult(command, describe_environment(), classes, next(iter(files)), tuple(results.values()), None)
