"""Names of the files that describe an export."""

from __future__ import annotations

REPORT, RESULT, SAMPLES, PARETO = "report.md", "report.json", "samples.png", "pareto.svg"
PRUNING, QUANTIZATION, REWRITES = "pruning.json", "quantization.json", "rewrites.json"
"""Written only where channels were dropped, int8 was asked for, and rewrites were selected, respectively."""

REPORTS = (REPORT, RESULT, SAMPLES, PARETO, PRUNING, QUANTIZATION, REWRITES)
