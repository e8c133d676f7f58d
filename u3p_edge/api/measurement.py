"""Measure the layers of a network on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from u3p_edge.api.arguments import as_target
from u3p_edge.progress import Progress, silent

if TYPE_CHECKING:
    from u3p_edge.latency.table.table import LatencyTable


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
