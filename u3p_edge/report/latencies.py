"""The latency of every file with its tail, and its ratio to the reference with its interval, as a table of the report."""

from __future__ import annotations

import numpy as np

from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.text import thread_count, three_digits

PERCENTILES = (50, 90, 99)
LATENCIES = (
    "The network alone: median, 90th and 99th percentile over the rounds, and the median ratio to {reference} of the same "
    "round with its 95 % bootstrap interval."
)


def latency_table(result: RunResult) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the latencies, one row for each file and number of threads; no rows without latencies."""
    header = ["file", "threads", "median, ms", "p90, ms", "p99, ms", "ratio (95 %)"]
    return header, [_row(result, a, n) for a in result.artifacts for n in result.threads if a.latency(n)]


def _row(result: RunResult, a: ArtifactResult, threads: int) -> list[str]:
    entry, reference = a.latency(threads), result.reference_latency(threads)
    if entry is None:
        return [a.name, thread_count(threads)]
    figures = (three_digits(float(ms)) for ms in np.percentile(entry.samples_ms, PERCENTILES))
    if reference is None or a.name == result.reference:
        return [a.name, thread_count(threads), *figures, "–"]
    beside = ratio(entry.samples_ms, reference.samples_ms)
    return [a.name, thread_count(threads), *figures, f"×{beside.estimate:.3f} ({beside.low:.3f} to {beside.high:.3f})"]
