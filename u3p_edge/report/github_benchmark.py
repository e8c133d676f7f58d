"""The figures of a run as github-action-benchmark reads them, in its form `customSmallerIsBetter`.

https://github.com/benchmark-action/github-action-benchmark: a list of objects with `name`, `unit` and `value`, and `range` and
`extra` as text. It keeps their history and draws it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.statistics import quartiles, ratio
from u3p_edge.text import thread_count, to_terminal


def render_github_benchmark(result: RunResult) -> str:
    """Return the figures of every file as JSON, each of a kind that is better when it is smaller.

    Latency as its median with the quartiles as its range, its ratio to the reference with the 95 % interval, peak memory, size,
    and 100 less the mean Dice in points. What was not measured has no entry.
    """
    extra = f"{to_terminal(result.environment.cpu)}, {result.environment.system}"
    entries = [entry for a in result.artifacts for entry in _list_entries(result, a)]
    return json.dumps([{**entry, "extra": extra} for entry in entries], indent=1, ensure_ascii=False) + "\n"


def _list_entries(result: RunResult, a: ArtifactResult) -> Iterator[dict[str, Any]]:
    name = to_terminal(a.name)
    for entry in a.latencies:
        title, reference = f"{name}: latency, {thread_count(entry.threads)}", result.reference_latency(entry.threads)
        ms = quartiles(entry.samples_ms)
        yield {"name": title, "unit": "ms", "value": ms.estimate, "range": f"{ms.low:.4g} to {ms.high:.4g}"}
        if reference is not None and a.name != result.reference:
            times = ratio(entry.samples_ms, reference.samples_ms)
            span = f"{times.low:.4g} to {times.high:.4g}"
            yield {"name": f"{title}, ratio", "unit": "× the reference", "value": times.estimate, "range": span}
    if a.memory is not None:
        yield {"name": f"{name}: peak memory", "unit": "MB", "value": quartiles(a.memory.peak_mb).estimate}
    yield {"name": f"{name}: size", "unit": "MB", "value": a.bytes / 1e6}
    if a.accuracy is not None and a.accuracy.mean_dice is not None:
        yield {"name": f"{name}: 100 - mean Dice", "unit": "points", "value": 100 - 100 * a.accuracy.mean_dice}
