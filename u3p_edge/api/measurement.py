"""Measure model files, compare results, look into models, data and devices."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from u3p_edge.api.arguments import as_target
from u3p_edge.benchmark.result import RunResult
from u3p_edge.progress import Progress, silent

if TYPE_CHECKING:
    from u3p_edge.benchmark.ceilings import Ceilings
    from u3p_edge.benchmark.checks import Tolerances, Verdict
    from u3p_edge.benchmark.compare import Scope
    from u3p_edge.latency.table.table import LatencyTable


def gate(
    baseline: str | Path | RunResult,
    current: str | Path | RunResult,
    tolerances: Tolerances | None = None,
    *,
    scope: Scope | None = None,
    ceilings: Ceilings | None = None,
) -> Verdict:
    """Compare two benchmark results file by file. Needs no TensorFlow.

    Args:
        baseline, current: what `bench` returned, or paths of report.json files.
        tolerances: how much worse `current` may be; None for the defaults.
        scope: which files and figures are compared; None for all.
        ceilings: what a file may take now, whatever it took before; None for no bound.

    Returns:
        The checks, and their outcome: passed, regressed, not comparable or inconclusive.

    Raises:
        ArtifactError: a file is no benchmark result.
    """
    from u3p_edge.benchmark.compare import gate as compare
    from u3p_edge.benchmark.result_file import read_result

    before, after = (r if isinstance(r, RunResult) else read_result(Path(r)) for r in (baseline, current))
    return compare(before, after, tolerances, scope, ceilings)


def profile_device(
    model: str | Path, out: str | Path, target: str = "tflite-int8", *, threads: int = 1, quick: bool = False,
    progress: Progress = silent,
) -> LatencyTable:  # fmt: skip
    """Time the layers of a network on this device, as a table from which pruning elsewhere predicts milliseconds.

    Args:
        model: a .tflite file before pruning, or the run folder of an export.
        out: the JSON file to write.
        target: runtime and number type to time in.
        threads: of the runtime.
        quick: fewer channel counts and checks.
        progress: see `u3p_edge.progress`.

    Raises:
        U3pEdgeError: the file cannot be read, or the table cannot be written.
    """
    from u3p_edge.tools.device_profile import profile

    return profile(Path(model), Path(out), as_target(target, threads), quick=quick, progress=progress)
