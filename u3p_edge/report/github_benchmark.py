"""The figures of a run as github-action-benchmark reads them, in its form `customSmallerIsBetter`.

https://github.com/benchmark-action/github-action-benchmark: a list of objects with `name`, `unit` and `value`, and `range` and
`extra` as text. It keeps their history and draws it.
"""

from __future__ import annotations

import json
from typing import Any

from u3p_edge.benchmark.figures import Figure, list_figures
from u3p_edge.benchmark.result import RunResult
from u3p_edge.text import to_terminal

WHOLE = 100.0
"""A score in points is written as what is missing from this."""


def render_github_benchmark(result: RunResult) -> str:
    """Return the figures of every file as JSON, each of a kind that is better when it is smaller.

    Latency, its ratio to the reference, peak memory, size, and 100 less the mean Dice in points, with the 95 % interval as the
    range. What was not measured has no entry.
    """
    extra = f"{to_terminal(result.environment.cpu)}, {result.environment.system}"
    entries = [{**_entry(figure), "extra": extra} for figure in list_figures(result)]
    return json.dumps(entries, indent=1, ensure_ascii=False) + "\n"


def _entry(figure: Figure) -> dict[str, Any]:
    """Return one entry; a score that is better when it is higher becomes what it lacks."""
    name, value, low, high = figure.name, figure.value, figure.low, figure.high
    if figure.more_is_better:
        name, value, low, high = f"{WHOLE:.0f} - {name}", WHOLE - value, WHOLE - high, WHOLE - low
    entry = {"name": f"{to_terminal(figure.file)}: {name}", "unit": figure.unit, "value": value}
    return entry if low == high else {**entry, "range": f"{low:.4g} to {high:.4g}"}
