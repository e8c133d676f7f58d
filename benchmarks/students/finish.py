"""Choose finalists by the validation scores of their int8 files, and measure them on the test split."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.students.candidates import BUDGETS, PLAIN, PRUNED
from benchmarks.students.quantize import Int8Student, calibration_images
from benchmarks.students.study import Study
from benchmarks.students.trained import Trained
from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.result_file import read_result, save_result
from u3p_edge.benchmark.suite import EvaluationData, Settings, measure
from u3p_edge.conversion.tflite.converter import convert_float
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.files.atomic import write_bytes
from u3p_edge.manifest import sha256_of
from u3p_edge.metrics import Scores
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.source import Source
from u3p_edge.progress import Progress
from u3p_edge.quantization.ptq import quantize_ptq

FLOAT, INT8 = "reference.float32.tflite", "reference.int8.tflite"


@dataclass(frozen=True)
class Comparison:
    """The finalists of one budget by name: the best of the pruned shapes and of the controls, both by validation in int8.

    Args:
        budget: key of `BUDGETS`.
        best: of the pruned shapes.
        control: the best control.
        plain: the plain UNet that was taught; None if it is not trained with all the seeds.
        pruned: the reference's own shape, pruned; None if it cannot be that fast.
    """

    budget: str
    best: str
    control: str
    plain: str | None
    pruned: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys(name for name in (self.best, self.pruned, self.control, self.plain) if name))


@dataclass(frozen=True)
class Measurement:
    """What one network was measured to be; samples and scores of its seeds are in the result.

    Args:
        seeds: Dice of every patient and class, float64 [patients, classes], for each seed.
        artifact: the measured file; of the first seed, where there are several.
    """

    seeds: tuple[Scores, ...]
    artifact: ArtifactResult

    @property
    def dice(self) -> Scores:
        """Dice of every patient and class, mean over seeds."""
        mean: Scores = np.mean(self.seeds, axis=0)
        return mean

    @property
    def samples_ms(self) -> tuple[float, ...]:
        """Milliseconds of every round at one thread."""
        return self.artifact.latencies[0].samples_ms


def choose_finalists(trained: Sequence[Trained], files: Mapping[str, Sequence[Int8Student]]) -> tuple[Comparison, ...]:
    """Return a comparison for every budget that both shapes and controls were trained for.

    Only validation is looked at, and only that of the int8 files: what a network loses by its integers is a part of its choice.

    Args:
        trained: the students.
        files: the int8 files of each, one a seed, by its name.
    """
    comparisons = []
    for budget in BUDGETS:
        here = {student.kind: student for student in trained if student.budget == budget}
        ours, controls = ([s for s in here.values() if s.control == control] for control in (False, True))
        if ours and controls:
            best, control = (max(each, key=lambda student: int8_val(files[student.name])) for each in (ours, controls))
            plain, pruned = (here[kind].name if kind in here else None for kind in (PLAIN, PRUNED))
            comparisons.append(Comparison(budget, best.name, control.name, plain, pruned))
    return tuple(comparisons)


def int8_val(files: Sequence[Int8Student]) -> float:
    """Return the validation Dice in percent of a student's int8 files, mean over seeds."""
    return float(np.mean([file.val for file in files]))


def write_reference(study: Study, source: Source, data: ExportData) -> tuple[Path, Path]:
    """Return the TFLite files of the reference in float32 and in int8; files that are there already are taken."""
    floats, integers = study.files / FLOAT, study.files / INT8
    if not floats.exists():
        write_bytes(floats, convert_float(source.model, source.metadata))
    if not integers.exists():
        write_bytes(integers, write_tflite(quantize_ptq(source.graph, calibration_images(data)), source.metadata))
    return floats, integers


def measure_files(
    files: Sequence[Path], study: Study, data: ExportData, rounds: int, command: str, progress: Progress
) -> RunResult:
    """Measure all files: Dice on the test split, and time in one run, interleaved at one thread.

    Scores of the same files are taken from an earlier run, so that times can be measured again at a quieter moment.
    """
    kept = study.folder / "scores.json"
    digests = {file.name: sha256_of(file) for file in files}
    scored = read_result(kept) if kept.exists() else None
    if scored is None or {artifact.name: artifact.sha256 for artifact in scored.artifacts} != digests:
        test = EvaluationData(study.data.name, data.test_split, data.test)
        only_scores = Settings(threads=(), memory_repeats=0)
        scored = measure(files, reference=FLOAT, data=test, settings=only_scores, progress=progress).result
        save_result(kept, scored)
    settings = Settings(threads=(1,), rounds=rounds, seconds=math.inf, memory_repeats=1)
    timed = measure(files, reference=FLOAT, settings=settings, command=command, progress=progress).result
    accuracy = {artifact.name: artifact.accuracy for artifact in scored.artifacts}
    both = tuple(replace(artifact, accuracy=accuracy[artifact.name]) for artifact in timed.artifacts)
    return replace(timed, artifacts=both, data=scored.data)


def join_seeds(result: RunResult, paths: Mapping[str, Sequence[Path]]) -> Mapping[str, Measurement]:
    """Return what each network was measured to be, by the names of `paths`, which has a file for every seed."""
    artifacts = {artifact.name: artifact for artifact in result.artifacts}
    return {
        name: Measurement(tuple(_dice(artifacts[path.name]) for path in each), artifacts[each[0].name])
        for name, each in paths.items()
    }


def _dice(artifact: ArtifactResult) -> Scores:
    assert artifact.accuracy is not None, "it was measured on data"
    return artifact.accuracy.group_scores
