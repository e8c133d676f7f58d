"""Names of the files that describe an export."""

from __future__ import annotations

REPORT, PAGE, RESULT = "report.md", "report.html", "report.json"
SAMPLES, WORST_GROUPS, PARETO = "samples.png", "worst.png", "pareto.svg"
CARD, SBOM = "model_card.md", "sbom.cdx.json"
"""The model card in the form of the Hugging Face Hub, and the bill of materials (CycloneDX)."""

LOCK = "export.lock.json"
"""All that decides the files; another export replays it."""

PRUNING, QUANTIZATION, REWRITES = "pruning.json", "quantization.json", "rewrites.json"
"""Written only where channels were dropped, int8 was asked for, and rewrites were selected, respectively."""

FRONT = "pareto.json"
"""In the folder of a front: its networks, and which of them was picked."""

REPORTS = (REPORT, PAGE, RESULT, SAMPLES, WORST_GROUPS, PARETO, CARD, SBOM, LOCK, PRUNING, QUANTIZATION, REWRITES)
