"""Where results are kept, and the sentence that says which machine they come from."""

from __future__ import annotations

import re
from pathlib import Path

from u3p_edge.benchmark.environment import describe_environment
from u3p_edge.benchmark.result import Environment
from u3p_edge.files.atomic import make_folder

BENCHMARKS = Path(__file__).resolve().parents[1]
RESULTS = BENCHMARKS / "results"
PACKAGE = BENCHMARKS.parent / "u3p_edge"


def results_folder(name: str) -> Path:
    """Make and return the folder of a benchmark's results: by processor, so that runs of two machines lie side by side."""
    environment = describe_environment()
    processor = re.sub(r"[^a-z0-9]+", "-", f"{environment.cpu} {environment.cores} cores".lower()).strip("-")
    folder = RESULTS / processor / name
    make_folder(folder)
    return folder


def describe_machine(environment: Environment) -> str:
    """Return where a report's figures come from: processor, cores, versions."""
    versions = ", ".join(f"{name} {version}" for name, version in environment.libraries)
    return f"{environment.cpu}, {environment.cores} cores, {versions}"
