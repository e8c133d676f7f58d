"""Choose finalists of trained students by validation, write them as int8 files, and measure them on the test split."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.students.candidates import BUDGETS, PLAIN, PRUNED
from benchmarks.students.exchange import read_network
from benchmarks.students.study import REFERENCE, STUDENTS, Study
from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.result_file import read_result, save_result
from u3p_edge.benchmark.suite import EvaluationData, Settings, measure
from u3p_edge.conversion.tflite.converter import convert_float
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.data.calibration import calibration_indices
from u3p_edge.files.atomic import make_folder, read_json, write_bytes
from u3p_edge.graph.ir import Graph
from u3p_edge.manifest import sha256_of
from u3p_edge.metrics import Scores
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.source import Source
from u3p_edge.progress import Progress
from u3p_edge.quantization.ptq import quantize_ptq

CALIBRATION = 64
"""Training images from which ranges of the int8 networks are measured."""

FLOAT, INT8 = "reference.float32.tflite", "reference.int8.tflite"


@dataclass(frozen=True)
class Trained:
    """A student with the scores of all its seeds, as `train_torch.py` wrote them in float32.

    Args:
        name, kind, budget, made, control, predicted_ms, macs, parameters: see `benchmarks.students.candidates.Student`.
        seeds: that are trained.
        val, test: Dice in percent, mean over patients, classes and seeds.
    """

    name: str
    kind: str
    budget: str
    made: str
    control: bool
    predicted_ms: float
    macs: int
    parameters: int
    seeds: tuple[int, ...]
    val: float
    test: float


@dataclass(frozen=True)
class Comparison:
    """The finalists of one budget by name: the best of the pruned shapes and of the controls, both by validation.

    Args:
        budget: key of `BUDGETS`.
        best: of the pruned shapes.
        control: the best control.
        plain: the plain UNet that was taught.
        pruned: the reference's own shape, pruned; None if it cannot be that fast.
    """

    budget: str
    best: str
    control: str
    plain: str
    pruned: str | None

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys(name for name in (self.best, self.pruned, self.control, self.plain) if name))


@dataclass(frozen=True)
class Measurement:
    """What one network was measured to be; samples and scores of its seeds are in the result.

    Args:
        dice: of every patient and class, float64 [patients, classes], mean over seeds.
        artifact: the measured file; of the first seed, where there are several.
    """

    dice: Scores
    artifact: ArtifactResult

    @property
    def samples_ms(self) -> tuple[float, ...]:
        """Milliseconds of every round at one thread."""
        return self.artifact.latencies[0].samples_ms


def read_trained(study: Study) -> tuple[Trained, ...]:
    """Return the students that are trained; those that are not, are left out."""
    trained = []
    for student in read_json(study.folder / f"{STUDENTS}.json")[STUDENTS]:
        paths = sorted((study.folder / "trained").glob(f"{student['name']}_[0-9]*.json"))
        records = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
        if records:
            seeds = tuple(sorted(int(record["seed"]) for record in records))
            means = {split: 100 * float(np.mean([record[split] for record in records])) for split in ("val", "test")}
            trained.append(Trained(**student, seeds=seeds, val=means["val"], test=means["test"]))
    return tuple(trained)


def choose_finalists(trained: Sequence[Trained]) -> tuple[Comparison, ...]:
    """Return a comparison for every budget that shapes and controls, the plain UNet among them, were trained for.

    Only validation is looked at.
    """
    comparisons = []
    for budget in BUDGETS:
        here = {student.kind: student for student in trained if student.budget == budget}
        ours, controls = ([s for s in here.values() if s.control == control] for control in (False, True))
        if ours and PLAIN in here:
            best, control = (max(each, key=lambda student: student.val) for each in (ours, controls))
            pruned = here[PRUNED].name if PRUNED in here else None
            comparisons.append(Comparison(budget, best.name, control.name, here[PLAIN].name, pruned))
    return tuple(comparisons)


def make_files(study: Study, finalists: Sequence[Trained], data: ExportData, progress: Progress) -> Mapping[str, list[Path]]:
    """Return the TFLite files of the reference in float32 and int8, and of every finalist and seed in int8, by name.

    Files that are there already are taken.
    """
    source, folder = study.read_reference(), study.folder / "files"
    make_folder(folder)
    images = data.train.images[list(calibration_indices(data.train, CALIBRATION))]
    if not (folder / FLOAT).exists():
        write_bytes(folder / FLOAT, convert_float(source.model, source.metadata))
    paths = {FLOAT: [folder / FLOAT], INT8: [_write_int8(folder / INT8, source.graph, source, images)]}
    step = progress("Quantize", sum(len(student.seeds) for student in finalists))
    for student in finalists:
        paths[student.name] = []
        for seed in student.seeds:
            graph = read_network(study.network(student.name), study.weights(student.name, seed))
            paths[student.name].append(_write_int8(folder / f"{student.name}_{seed}.int8.tflite", graph, source, images))
            step()
    return paths


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
        name: Measurement(np.mean([_dice(artifacts[path.name]) for path in each], axis=0), artifacts[each[0].name])
        for name, each in paths.items()
    }


def describe_trained(study: Study, trained: Sequence[Trained]) -> dict[str, Any]:
    """Return what is kept of all trainings: scores of the reference and of every student by patient, and their histories."""
    names = [(REFERENCE, 0), *((student.name, seed) for student in trained for seed in student.seeds)]
    return {
        f"{name}_{seed}": json.loads(study.weights(name, seed).with_suffix(".json").read_text(encoding="utf-8"))
        for name, seed in names
    }


def _write_int8(path: Path, graph: Graph, source: Source, images: Any) -> Path:
    if not path.exists():
        write_bytes(path, write_tflite(quantize_ptq(graph, images), source.metadata))
    return path


def _dice(artifact: ArtifactResult) -> Scores:
    assert artifact.accuracy is not None, "it was measured on data"
    return np.array([[math.nan if dice is None else dice for dice in row] for row in artifact.accuracy.group_dice])
