"""One benchmark run: accuracy, latency and memory of several artifacts, side by side."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from u3p_edge.benchmark import accuracy, environment, frames, memory, timing
from u3p_edge.benchmark.conditions import Conditions
from u3p_edge.benchmark.energy import ENERGY_ROUNDS, find_counters, measure_energy
from u3p_edge.benchmark.operator_times import measure_operators
from u3p_edge.benchmark.read_structure import SUFFIXES, read_structure
from u3p_edge.benchmark.references import check_one_task, choose_float_reference, shorten_names
from u3p_edge.benchmark.result import ArtifactResult, DataInfo, RunResult
from u3p_edge.config.limits import MAX_MEMORY_MB, MAX_THREADS
from u3p_edge.config.metadata import Metadata
from u3p_edge.data.load import Arrays
from u3p_edge.data.spacing import pixel_spacings
from u3p_edge.errors import ConfigError
from u3p_edge.latency.clock import MINIMUM_ROUNDS
from u3p_edge.manifest import sha256_of
from u3p_edge.progress import Progress, silent
from u3p_edge.runtime import Session, open_session
from u3p_edge.text import thread_count

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    """What to measure, and for how long.

    Args:
        threads: thread counts to time at, each in separate interleaved rounds; empty to skip latency.
        rounds: samples per artifact and thread count.
        warmup: warm-up rounds, which are discarded.
        seconds: no further round starts after this many seconds, for each thread count.
        precision: continue after `rounds` until the uncertainty of every ratio to the reference is at most this share; None for
            no more rounds.
        memory_repeats: fresh processes per artifact, for its peak memory and its cold start; 0 to skip both.
        max_memory_mb: an artifact that would take more is refused; None for files that this program wrote.
        operators: time every operator of the TFLite files alone, too.
    """

    threads: tuple[int, ...] = (1,)
    rounds: int = 20
    warmup: int = 2
    seconds: float = 60.0
    precision: float | None = None
    memory_repeats: int = 3
    max_memory_mb: float | None = MAX_MEMORY_MB
    operators: bool = False

    def __post_init__(self) -> None:
        if self.rounds < MINIMUM_ROUNDS:
            raise ConfigError(f"{self.rounds} rounds are too few to show a spread", mend=f"Use {MINIMUM_ROUNDS} or more.")
        if any(not 1 <= threads <= MAX_THREADS for threads in self.threads):
            raise ConfigError(f"threads {self.threads} must be 1 to {MAX_THREADS}")


@dataclass(frozen=True)
class EvaluationData:
    """Images with truth: the arrays of a split, and the names of the data and the split."""

    name: str
    split: str
    arrays: Arrays

    def info(self) -> DataInfo:
        """Return the description of the data that a result stores."""
        a = self.arrays
        digest = accuracy.data_sha256(a.images, a.labels, a.groups)
        groups, images = (tuple(dict.fromkeys(names)) for names in (a.groups, a.stems))
        return DataInfo(self.name, self.split, len(images), len(groups), digest, groups, images)


@dataclass(frozen=True)
class Measured:
    """A result, and the labels uint8 [N, H, W] predicted by each artifact (empty without data)."""

    result: RunResult
    predictions: Mapping[str, Labels]


def choose_threads() -> tuple[int, ...]:
    """Return the default thread counts: 1, and as many as there are cores."""
    return tuple(sorted({1, environment.available_cores()}))


def measure(
    paths: Sequence[Path],
    *,
    reference: str = "",
    data: EvaluationData | None = None,
    reference_labels: Labels | None = None,
    settings: Settings | None = None,
    command: str = "",
    progress: Progress = silent,
) -> Measured:
    """Measure artifacts that do the same task.

    Args:
        paths: .tflite and .onnx files, for images of one shape, with one set of classes.
        reference: name of the artifact that ratios and agreement refer to; empty for that of `choose_float_reference`.
        data: images with truth; None skips accuracy.
        reference_labels: labels uint8 [N, H, W] that agreement refers to instead, e.g. of the tf_keras model.
        settings: what to measure, and for how long; None for the defaults at 1 thread and at all threads.
        command: the command line that was typed, for the record.
        progress: called at the start of every stage.

    Raises:
        ModelError, MissingPackageError: an artifact cannot be loaded.
        ConfigError: no artifact is given, the artifacts differ in task, or there is no such reference.
    """
    named = dict(zip(shorten_names(paths), paths, strict=True))
    run = _Run(named, settings or Settings(threads=choose_threads()), data, progress)
    assessed = _assess(run, reference, reference_labels)
    results = assessed.results
    conditions = []
    for threads in run.settings.threads:
        results, shown = _with_latency(results, run, threads, assessed.reference)
        conditions.append(shown)
    if run.settings.threads:
        results = _with_energy(_with_frames(results, run), run)
    results = _with_operators(_with_memory(results, run), run)
    result = RunResult(
        command,
        environment.describe_environment(),
        assessed.metadata.class_names,
        assessed.reference,
        tuple(results.values()),
        None if data is None else data.info(),
        conditions=tuple(conditions),
    )
    return Measured(result, assessed.predictions)


@dataclass(frozen=True)
class _Run:
    """The artifacts by name, and what to measure them with."""

    paths: Mapping[str, Path]
    settings: Settings
    data: EvaluationData | None
    progress: Progress

    def open(self, threads: int | None, max_memory_mb: float | None = None) -> dict[str, Session]:
        """Load all artifacts, with as many threads, or None for those of `scoring_threads`; no limit once they are checked."""
        return {
            name: open_session(path, threads or environment.scoring_threads(path), max_memory_mb=max_memory_mb)
            for name, path in self.paths.items()
        }


@dataclass(frozen=True)
class _Assessed:
    """What is known of the artifacts before anything is timed."""

    reference: str
    metadata: Metadata
    results: Mapping[str, ArtifactResult]
    predictions: Mapping[str, Labels]


def _assess(run: _Run, wanted: str, reference_labels: Labels | None) -> _Assessed:
    """Find identity and accuracy of every artifact. The sessions end here, so that they take no memory while others run."""
    sessions = run.open(None, run.settings.max_memory_mb)
    metadata, reference = check_one_task(list(sessions.values())), choose_float_reference(sessions, wanted)
    results = {name: _identity(name, path, sessions[name]) for name, path in run.paths.items()}
    if run.data is None:
        return _Assessed(reference, metadata, results, {})
    a, classes, multi_label = run.data.arrays, metadata.labels, metadata.multi_label
    predictions = {
        name: accuracy.predict_labels(session, a.images, run.progress(f"Predict with {name}", len(a.images)), a.originals)
        for name, session in sessions.items()
    }
    expected = predictions[reference] if reference_labels is None else reference_labels
    scored, spacings = {}, pixel_spacings(a, metadata.preprocessing)
    for name, identity in results.items():
        overlap = accuracy.score(a.labels, predictions[name], expected, a.groups, classes, a.stems, multi_label=multi_label)
        apart = accuracy.measure_distances(
            a.labels, predictions[name], a.groups, classes, a.stems, spacings, multi_label=multi_label
        )
        scored[name] = dataclasses.replace(identity, accuracy=dataclasses.replace(overlap, distances=apart))
    return _Assessed(reference, metadata, scored, predictions)


def _identity(name: str, path: Path, session: Session) -> ArtifactResult:
    digest, size = sha256_of(path), path.stat().st_size
    structure = read_structure(path) if path.suffix in SUFFIXES else None
    return ArtifactResult(name, session.format, digest, size, session.input_shape, structure=structure)


def _with_latency(
    results: Mapping[str, ArtifactResult], run: _Run, threads: int, reference: str
) -> tuple[dict[str, ArtifactResult], Conditions]:
    sessions, settings = list(run.open(threads).values()), run.settings
    timed = timing.time_sessions(
        sessions,
        _timing_image(sessions[0], run.data),
        threads,
        rounds=settings.rounds,
        warmup=settings.warmup,
        seconds=settings.seconds,
        precision=settings.precision,
        reference=list(results).index(reference),
        step=run.progress(f"Time at {thread_count(threads)}", settings.rounds),
    )
    pairs = zip(results.items(), timed.latencies, strict=True)
    new = {name: dataclasses.replace(result, latencies=(*result.latencies, latency)) for (name, result), latency in pairs}
    return new, timed.conditions


def _with_frames(results: Mapping[str, ArtifactResult], run: _Run) -> dict[str, ArtifactResult]:
    threads, settings = max(run.settings.threads), run.settings
    sessions = list(run.open(threads).values())
    pixels = frames.frame_pixels(run.data.arrays.originals if run.data else (), sessions[0].metadata.preprocessing)
    step = run.progress("Time whole frames", settings.rounds)
    timed = frames.time_frames(sessions, pixels, threads, rounds=settings.rounds, seconds=settings.seconds, step=step)
    pairs = zip(results.items(), timed, strict=True)
    return {name: dataclasses.replace(result, frames=entry) for (name, result), entry in pairs}


def _with_energy(results: Mapping[str, ArtifactResult], run: _Run) -> dict[str, ArtifactResult]:
    """Add the energy of an image, at the most threads; nothing where the processor's counters cannot be read."""
    counters, threads = find_counters(), max(run.settings.threads)
    if not counters:
        return dict(results)
    sessions = list(run.open(threads).values())
    calls = [session.prepare(_timing_image(session, run.data)) for session in sessions]
    measured = measure_energy(calls, counters, threads, step=run.progress("Measure energy", ENERGY_ROUNDS))
    pairs = zip(results.items(), measured, strict=True)
    return {name: dataclasses.replace(result, energy=entry) for (name, result), entry in pairs}


def _with_operators(results: Mapping[str, ArtifactResult], run: _Run) -> dict[str, ArtifactResult]:
    if not run.settings.operators:
        return dict(results)
    step = run.progress("Time operators", len(results))
    return {
        name: dataclasses.replace(result, operator_times=measure_operators(run.paths[name], step))
        for name, result in results.items()
    }


def _timing_image(session: Session, data: EvaluationData | None) -> npt.NDArray[np.float32]:
    if data is not None:
        first: npt.NDArray[np.float32] = data.arrays.images[0]
        return first
    return np.random.default_rng(0).random(session.input_shape, dtype=np.float32)


def _with_memory(results: Mapping[str, ArtifactResult], run: _Run) -> dict[str, ArtifactResult]:
    repeats = run.settings.memory_repeats
    if repeats < 1:
        return dict(results)
    step = run.progress("Measure memory and cold start in fresh processes", repeats * len(results))
    fresh = {name: memory.measure_fresh_processes(run.paths[name], repeats=repeats, step=step) for name in results}
    return {
        name: dataclasses.replace(result, memory=fresh[name].memory, cold_start=fresh[name].cold_start)
        for name, result in results.items()
    }
