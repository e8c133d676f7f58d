"""Measure model files, compare results, look into models, data and devices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from u3p_edge.api.arguments import as_path, as_target
from u3p_edge.benchmark.result import RunResult
from u3p_edge.errors import require_packages
from u3p_edge.progress import Progress, silent

if TYPE_CHECKING:
    from u3p_edge.benchmark.ceilings import Ceilings
    from u3p_edge.benchmark.checks import Tolerances, Verdict
    from u3p_edge.benchmark.compare import Scope
    from u3p_edge.benchmark.suite import Settings
    from u3p_edge.data.check import FolderReport
    from u3p_edge.data.options import DataOptions
    from u3p_edge.latency.table.table import LatencyTable
    from u3p_edge.report.inspection import Inspection


def bench(
    models: Sequence[str | Path],
    data: str | Path | None = None,
    *,
    split: str = "test",
    reference: str = "",
    settings: Settings | None = None,
    options: DataOptions | None = None,
    progress: Progress = silent,
) -> RunResult:
    """Measure model files of one task side by side: accuracy, latency and memory. Needs no TensorFlow.

    Args:
        models: .tflite and .onnx files.
        data: data folder to score on; None for speed and memory alone.
        split: of the data folder: "train", "val" or "test".
        reference: name of the file that ratios refer to; empty for a float32 one.
        settings: what to measure, and for how long; None for 20 rounds at 1 thread and at all.
        options: how the data folder is read; None for the defaults.
        progress: see `u3p_edge.progress`.

    Returns:
        All raw samples, the environment, the accuracy and the memory; `gate` compares two of them.

    Raises:
        U3pEdgeError: a file or the data cannot be used, or the files differ in task.
    """
    from u3p_edge.pipeline.bench import bench as run

    return run(
        [Path(model) for model in models], data=as_path(data), split=split, options=options, settings=settings,
        reference=reference, progress=progress,
    ).result  # fmt: skip


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


@require_packages("u3p_edge.inspect")
def inspect(
    model: str | Path | None = None, *, int8: bool = False, profile: bool = False, threads: int = 1, progress: Progress = silent
) -> Inspection:
    """Show where a model's arithmetic, memory and time go.

    Args:
        model: a .tflite file, the run folder of an export or a training, a Keras file; None for the embedded reference model.
        int8: inspect the int8 network that a float model would become.
        profile: also time every operator on this machine.
        threads: to time with.
        progress: see `u3p_edge.progress`.

    Raises:
        ModelError: missing, damaged, or not a network that can be read.
    """
    from u3p_edge.tools.inspect import inspect_file

    return inspect_file(as_path(model), int8=int8, profile=profile, threads=threads, progress=progress)


def check_data(data: str | Path, labels: int | None = None, *, group_column: str | None = None) -> FolderReport:
    """Read a data folder from end to end, and count what it holds and what is wrong with it.

    Args:
        data: the folder.
        labels: number of classes that the masks may have, background included; None finds it in the masks.
        group_column: column of split.csv that is never split across sets; None looks for a usual one.

    Raises:
        DataError: there is nothing to check.
    """
    from u3p_edge.data.check import check_folder

    return check_folder(Path(data), labels, group_column=group_column)


@require_packages("u3p_edge.profile_device")
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
