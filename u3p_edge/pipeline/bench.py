"""Measure exported files of one task side by side. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from u3p_edge.benchmark.result import RunResult
from u3p_edge.benchmark.statistics import ratio
from u3p_edge.benchmark.suite import EvaluationData, Settings, measure
from u3p_edge.data.folder import open_folder
from u3p_edge.data.load import load_samples
from u3p_edge.data.options import DataOptions
from u3p_edge.progress import Progress, silent
from u3p_edge.runtime import open_session
from u3p_edge.text import thread_count


def bench(
    models: Sequence[str | Path],
    data: str | Path | None = None,
    *,
    split: str = "test",
    options: DataOptions | None = None,
    settings: Settings | None = None,
    reference: str = "",
    command: str = "",
    progress: Progress = silent,
) -> RunResult:
    """Measure model files of one task side by side, in interleaved rounds: accuracy, latency and memory.

    Args:
        models: .tflite and .onnx files of `u3p-edge export`.
        data: a data folder to score on; None for speed and memory alone.
        split: of the data folder: train, val or test.
        options: how the data folder is read; None for the defaults.
        settings: what is timed and for how long; None for 20 rounds at 1 thread and at all.
        reference: name of the file that ratios and label agreement refer to; empty for reference.float32.tflite or another
            float32 file.
        command: the command line, for the report.
        progress: see `u3p_edge.progress`.

    Returns:
        All raw samples, the environment, the accuracy and the memory; `gate` compares two of them.

    Raises:
        ArtifactError: a file that cannot be read. DataError: data that cannot be read, or that do not fit the models.
        ConfigError: files of different tasks, or no such reference.
    """
    settings = settings or Settings()
    files = [Path(model) for model in models]
    evaluation = None
    if data is not None:
        evaluation = _read_data(Path(data), split, files[0], options or DataOptions(), settings.max_memory_mb)
    return measure(files, reference=reference, data=evaluation, settings=settings, command=command, progress=progress).result


def uncertain_ratios(result: RunResult, precision: float) -> tuple[str, ...]:
    """Name every latency ratio to the reference whose uncertainty is above the share `precision`, one sentence each."""
    sentences = []
    for threads in result.threads:
        reference = result.reference_latency(threads)
        for artifact in result.artifacts:
            entry = artifact.latency(threads)
            if entry is None or reference is None or artifact.name == result.reference:
                continue
            interval = ratio(entry.samples_ms, reference.samples_ms)
            if interval.uncertainty > precision:
                rounds = f"{artifact.name} at {thread_count(threads)}: after {len(entry.samples_ms)} rounds"
                sentences.append(f"{rounds} its ratio is certain to {interval.uncertainty:.1%} only.")
    return tuple(sentences)


def _read_data(folder: Path, split: str, model: Path, options: DataOptions, max_memory_mb: float | None) -> EvaluationData:
    """Return a split, preprocessed as the first model says; `measure` holds the others to the same."""
    metadata = open_session(model, max_memory_mb=max_memory_mb).metadata
    samples = open_folder(folder, options).split(split)
    arrays = load_samples(samples, metadata.preprocessing, metadata.labels, tiled=True, multi_label=metadata.multi_label)
    return EvaluationData(folder.resolve().name, split, arrays)
