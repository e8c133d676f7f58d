"""One benchmark run: accuracy, latency and memory of several artifacts, side by side."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from u3p_edge.artifact import sha256_of
from u3p_edge.benchmark import accuracy, environment, frames, memory, timing
from u3p_edge.benchmark.matching import is_original
from u3p_edge.benchmark.result import ArtifactResult, DataInfo, RunResult
from u3p_edge.config.limits import MAX_MEMORY_MB, MAX_THREADS
from u3p_edge.config.metadata import Metadata
from u3p_edge.data.load import Arrays
from u3p_edge.errors import ConfigError
from u3p_edge.latency.clock import MINIMUM_ROUNDS
from u3p_edge.progress import Progress, silent
from u3p_edge.runtime import Session, open_session

Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    """What to measure, and for how long.

    Args:
        threads: thread counts to time at, each in separate interleaved rounds; empty to skip latency.
        rounds: samples per artifact and thread count.
        warmup: warm-up rounds, which are discarded.
        seconds: no further round starts after this many seconds, for each thread count.
        until: continue after `rounds` until the uncertainty of every ratio to the reference is at most this share; None for no
            more rounds.
        memory_repeats: fresh processes per artifact; 0 to skip memory.
        max_memory_mb: an artifact that would take more is refused; None for files that this program wrote.
    """

    threads: tuple[int, ...] = (1,)
    rounds: int = 20
    warmup: int = 2
    seconds: float = 60.0
    until: float | None = None
    memory_repeats: int = 3
    max_memory_mb: float | None = MAX_MEMORY_MB

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
        return DataInfo(self.name, self.split, len(set(a.stems)), len(set(a.groups)), digest)


@dataclass(frozen=True)
class Measured:
    """A result, and the labels uint8 [N, H, W] predicted by each artifact (empty without data)."""

    result: RunResult
    predictions: Mapping[str, Labels]


def default_threads() -> tuple[int, ...]:
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
        reference: name of the artifact that ratios and agreement refer to; empty for that of
            `choose_float_reference`.
        data: images with truth; None skips accuracy.
        reference_labels: labels uint8 [N, H, W] that agreement refers to instead, e.g. of the tf_keras model.
        settings: what to measure, and for how long; None for the defaults at 1 thread and at all threads.
        command: the command line that was typed, for the record.
        progress: called at the start of every stage.

    Raises:
        ModelError, MissingPackageError: an artifact cannot be loaded.
        ConfigError: no artifact is given, the artifacts differ in task, or there is no such reference.
    """
    settings = settings or Settings(threads=default_threads())
    named = dict(zip(short_names(paths), paths, strict=True))
    assessed = _assess(named, reference, data, reference_labels, settings, progress)
    results = assessed.results
    for threads in settings.threads:
        results = _with_latency(results, named, threads, settings, data, assessed.reference, progress)
    if settings.threads:
        results = _with_frames(results, named, settings, data, progress)
    results = _with_memory(results, named, settings, progress)
    info = None if data is None else data.info()
    names, chosen = assessed.metadata.class_names, assessed.reference
    run = RunResult(command, environment.describe_environment(), names, chosen, tuple(results.values()), info)
    return Measured(run, assessed.predictions)


def short_names(paths: Sequence[Path]) -> tuple[str, ...]:
    """Return file names, with as many of their folders as are needed to tell them apart.

    Raises:
        ConfigError: no path is given, or one is given twice.
    """
    if not paths:
        raise ConfigError("no model was given", mend="Name one or more .tflite or .onnx files.")
    resolved = [Path(os.path.abspath(path)) for path in paths]  # noqa: PTH100 - resolve() would follow links and lose the names
    if len(set(resolved)) != len(resolved):
        raise ConfigError("a model was given twice", mend="Name each file once.")
    for depth in range(1, max(len(path.parts) for path in resolved) + 1):
        names = tuple("/".join(path.parts[-depth:]) for path in resolved)
        if len(set(names)) == len(names):
            return names
    raise AssertionError("distinct paths have distinct parts")


def choose_float_reference(sessions: Mapping[str, Session], wanted: str = "") -> str:
    """Return the requested name; else a float32 artifact, whatever the order of the files; else the first.

    Among float32 artifacts the original model (before pruning and rewriting) is preferred, and TFLite to the other formats.

    Raises:
        ConfigError: there is no artifact with the requested name.
    """
    if wanted:
        matches = [name for name in sessions if name == wanted or name.endswith(f"/{wanted}")]
        if len(matches) != 1:
            raise ConfigError(f"the reference {wanted!r} is none of the models", mend=f"It is one of: {', '.join(sessions)}.")
        return matches[0]
    floats = [name for name, session in sessions.items() if session.format.endswith("-float32")]
    if not floats:
        return next(iter(sessions))
    return min(floats, key=lambda name: (not is_original(name), not sessions[name].format.startswith("tflite")))


def _one_task(sessions: Sequence[Session]) -> Metadata:
    """Return the common metadata. Raises ConfigError if preprocessing or classes differ, as all must take the same images."""
    first = sessions[0]
    for other in sessions[1:]:
        if (other.metadata.preprocessing, other.metadata.class_names) != (
            first.metadata.preprocessing,
            first.metadata.class_names,
        ):
            raise ConfigError(
                f"{first.name} and {other.name} differ in preprocessing or classes, so they cannot be compared",
                mend="Measure models of one task together.",
            )
    return first.metadata


@dataclass(frozen=True)
class _Assessed:
    """What is known of the artifacts before anything is timed."""

    reference: str
    metadata: Metadata
    results: Mapping[str, ArtifactResult]
    predictions: Mapping[str, Labels]


def _assess(
    named: Mapping[str, Path],
    wanted: str,
    data: EvaluationData | None,
    reference_labels: Labels | None,
    settings: Settings,
    progress: Progress,
) -> _Assessed:
    """Find identity and accuracy of every artifact. The sessions end here, so that they take no memory while others run."""
    sessions = {
        name: open_session(path, environment.available_cores(), max_memory_mb=settings.max_memory_mb)
        for name, path in named.items()
    }
    metadata, reference = _one_task(list(sessions.values())), choose_float_reference(sessions, wanted)
    results = {name: _identity(name, path, sessions[name]) for name, path in named.items()}
    if data is None:
        return _Assessed(reference, metadata, results, {})
    predictions = _predict(sessions, data, progress)
    expected = predictions[reference] if reference_labels is None else reference_labels
    a = data.arrays
    scored = {}
    for name, identity in results.items():
        overlap = accuracy.score(a.labels, predictions[name], expected, a.groups, metadata.labels)
        apart = accuracy.distances(a.labels, predictions[name], a.groups, metadata.labels)
        scored[name] = dataclasses.replace(identity, accuracy=dataclasses.replace(overlap, distances=apart))
    return _Assessed(reference, metadata, scored, predictions)


def _identity(name: str, path: Path, session: Session) -> ArtifactResult:
    return ArtifactResult(name, session.format, sha256_of(path), path.stat().st_size, session.input_shape)


def _predict(sessions: Mapping[str, Session], data: EvaluationData, progress: Progress) -> dict[str, Labels]:
    images = data.arrays.images
    return {
        name: accuracy.predict_labels(session, images, progress(f"Predict with {name}", len(images)))
        for name, session in sessions.items()
    }


def _with_latency(
    results: Mapping[str, ArtifactResult],
    paths: Mapping[str, Path],
    threads: int,
    settings: Settings,
    data: EvaluationData | None,
    reference: str,
    progress: Progress,
) -> dict[str, ArtifactResult]:
    sessions = [open_session(path, threads, max_memory_mb=None) for path in paths.values()]
    image = _timing_image(sessions[0], data)
    stage = f"Time at {threads} thread{'s' if threads > 1 else ''}"
    latencies = timing.time_sessions(
        sessions,
        image,
        threads,
        rounds=settings.rounds,
        warmup=settings.warmup,
        seconds=settings.seconds,
        until=settings.until,
        reference=list(paths).index(reference),
        step=progress(stage, settings.rounds),
    )
    return {
        name: dataclasses.replace(result, latencies=(*result.latencies, latency))
        for (name, result), latency in zip(results.items(), latencies, strict=True)
    }


def _with_frames(
    results: Mapping[str, ArtifactResult],
    paths: Mapping[str, Path],
    settings: Settings,
    data: EvaluationData | None,
    progress: Progress,
) -> dict[str, ArtifactResult]:
    threads = max(settings.threads)
    sessions = [open_session(path, threads, max_memory_mb=None) for path in paths.values()]
    pixels = frames.frame_pixels(data.arrays.originals if data else (), sessions[0].metadata.preprocessing)
    timed = frames.time_frames(
        sessions,
        pixels,
        threads,
        rounds=settings.rounds,
        seconds=settings.seconds,
        step=progress("Time whole frames", settings.rounds),
    )
    pairs = zip(results.items(), timed, strict=True)
    return {name: dataclasses.replace(result, frames=entry) for (name, result), entry in pairs}


def _timing_image(session: Session, data: EvaluationData | None) -> npt.NDArray[np.float32]:
    if data is not None:
        first: npt.NDArray[np.float32] = data.arrays.images[0]
        return first
    return np.random.default_rng(0).random(session.input_shape, dtype=np.float32)


def _with_memory(
    results: Mapping[str, ArtifactResult], paths: Mapping[str, Path], settings: Settings, progress: Progress
) -> dict[str, ArtifactResult]:
    if settings.memory_repeats < 1:
        return dict(results)
    step = progress("Measure memory in fresh processes", settings.memory_repeats * len(results))
    return {
        name: dataclasses.replace(result, memory=memory.peak_memory(paths[name], repeats=settings.memory_repeats, step=step))
        for name, result in results.items()
    }
