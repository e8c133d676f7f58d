"""From a file to its first mask in a fresh process, and the energy of an image, as a table of the report."""

from __future__ import annotations

from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.statistics import quartiles
from u3p_edge.text import three_digits

COLD_START = (
    "Medians of fresh processes at 1 thread, from a file to its first mask; Python and the runtime's library are loaded before."
)
NO_ENERGY = "Energy was not measured: no energy counter of the processor (RAPL) can be read here."


def start_table(result: RunResult) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the cold start of every file, and of its energy where that was measured; no rows without."""
    header = ["file", "load, ms", "first image, ms", "both, ms"]
    timed = [a for a in result.artifacts if a.cold_start]
    energy = any(a.energy for a in timed)
    return [*header, *(["energy of an image, J"] if energy else [])], [_row(a, energy) for a in timed]


def _row(a: ArtifactResult, energy: bool) -> list[str]:
    if a.cold_start is None:
        return [a.name]
    times = (a.cold_start.load_ms, a.cold_start.first_ms, a.cold_start.total_ms)
    joules = "–" if a.energy is None else f"{quartiles(a.energy.joules).estimate:.3g}"
    return [a.name, *(three_digits(quartiles(ms).estimate) for ms in times), *([joules] if energy else [])]
