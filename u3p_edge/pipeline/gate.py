"""Compare two runs, and time their files side by side where both are there. Needs no TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from u3p_edge.benchmark.ceilings import Ceilings
from u3p_edge.benchmark.checks import Check, Tolerances, Verdict
from u3p_edge.benchmark.compare import Scope, check_stored_latency, compare_runs
from u3p_edge.benchmark.matching import Pair, match, select
from u3p_edge.benchmark.paired_timing import GateTiming, time_pair
from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.benchmark.slowdown import check_slowdown
from u3p_edge.benchmark.suite import Settings, measure
from u3p_edge.errors import ArtifactError
from u3p_edge.manifest import sha256_of
from u3p_edge.pipeline.lock import read_lock
from u3p_edge.pipeline.report_names import LOCK, RESULT
from u3p_edge.progress import Progress, silent
from u3p_edge.runtime.registry import runtime_of
from u3p_edge.text import thread_count

ROUNDS_OF_MEASUREMENT = 2
"""A slow-down is measured twice, so each measurement has half of a file's time."""


@dataclass(frozen=True)
class GateRun:
    """One of the two runs that are compared.

    Args:
        result: what was measured of it.
        folder: where its files may lie; None for a result that is not from a folder.
    """

    result: RunResult
    folder: Path | None = None

    def find(self, artifact: ArtifactResult) -> Path | None:
        """Return the path of one of its files; None where it is not in the folder, or has been replaced since."""
        path = None if self.folder is None else self.folder / artifact.name
        return path if path is not None and path.is_file() and sha256_of(path) == artifact.sha256 else None


def gate(
    baseline: str | Path | RunResult,
    current: str | Path | RunResult,
    tolerances: Tolerances | None = None,
    *,
    scope: Scope | None = None,
    ceilings: Ceilings | None = None,
    timing: GateTiming | None = None,
    progress: Progress = silent,
) -> Verdict:
    """Compare two runs file by file. Needs no TensorFlow.

    Args:
        baseline, current: a run folder, or any folder of .tflite and .onnx files; a report.json or what `u3p-edge bench --save`
            wrote; or what `bench` returned. Where the files of both lie in the folders, or beside the JSON files, their
            latencies are measured now, side by side. Otherwise latencies are not compared.
        tolerances: how much worse `current` may be; None for the defaults.
        scope: which files and figures are compared; None for all.
        ceilings: what a file may take now, whatever it took before; None for no bound.
        timing: how long files are timed; None for the defaults.
        progress: see `u3p_edge.progress`.

    Returns:
        The checks, and their outcome: passed, regressed, not comparable or inconclusive.

    Raises:
        ArtifactError: a file is no benchmark result, or a folder holds no model file.
        ModelError: a model file is damaged.
    """
    limits, scope = tolerances or Tolerances(), scope or Scope()
    before, after = read_gate_run(baseline), read_gate_run(current)
    check = _Timing((before, after), limits, scope, timing or GateTiming(), progress).check
    one_lock = _have_one_lock(before, after)
    return compare_runs(before.result, after.result, limits, scope, ceilings, check_latency=check, one_lock=one_lock)


def read_gate_run(source: str | Path | RunResult) -> GateRun:
    """Return one of the two runs; arguments and errors as of `gate`."""
    if isinstance(source, RunResult):
        return GateRun(source)
    path = Path(source)
    if not path.is_dir():
        return GateRun(read_result(path), path.parent)
    if (path / RESULT).is_file():
        return GateRun(read_result(path / RESULT), path)
    kinds = {file: runtime_of(file.suffix) for file in sorted(path.iterdir()) if file.is_file()}
    files = [file for file, runtime in kinds.items() if runtime is not None and runtime.is_installed]
    if not files:
        raise ArtifactError(
            f"{path} holds neither {RESULT} nor a model file that can be run here",
            mend="Name a run folder of `u3p-edge export`, or a result of `u3p-edge bench --save`.",
        )
    return GateRun(measure(files, settings=Settings(threads=(), memory_repeats=0)).result, path)


@dataclass(frozen=True)
class _Timing:
    """Times the files of two runs."""

    runs: tuple[GateRun, GateRun]
    limits: Tolerances
    scope: Scope
    timing: GateTiming
    progress: Progress

    def check(self, pair: Pair) -> Iterator[Check]:
        """Yield a check of a pair for each number of threads, or one that says why it was not timed."""
        paths = self._paths(pair)
        if paths is None or pair.after is None:
            yield from check_stored_latency(pair)
            return
        for threads in self._threads:
            name = pair.after.name
            step = self.progress(f"Time {name} at {thread_count(threads)} beside the baseline's", 0)
            take = partial(time_pair, *paths, threads, precision=self.timing.precision, seconds=self._seconds, step=step)
            yield check_slowdown(take, name, threads, 1 + self.limits.slowdown)

    @property
    def _threads(self) -> tuple[int, ...]:
        return tuple(sorted(set(self.scope.threads))) or (1,)

    @property
    def _seconds(self) -> float:
        """Time for one measurement, of equal shares."""
        pairs = select(match(self.runs[0].result, self.runs[1].result), self.scope.files)
        timed = sum(self._paths(pair) is not None for pair in pairs)
        return self.timing.seconds / (timed * len(self._threads) * ROUNDS_OF_MEASUREMENT)

    def _paths(self, pair: Pair) -> tuple[Path, Path] | None:
        """Return the two files of a pair; None where one is not there, or both are the same, which need no clock."""
        before, after = pair.before, pair.after
        if before is None or after is None or before.sha256 == after.sha256:
            return None
        old, new = self.runs[0].find(before), self.runs[1].find(after)
        return None if old is None or new is None else (old, new)


def _have_one_lock(before: GateRun, after: GateRun) -> bool:
    """Return whether both runs are exports that were made from the same lock, apart from the bytes that it lists."""
    if before.folder is None or after.folder is None:
        return False
    paths = (before.folder / LOCK, after.folder / LOCK)
    if not all(path.is_file() for path in paths):
        return False
    old, new = (dataclasses.replace(read_lock(path), files={}) for path in paths)
    return old == new
