"""The students that are trained, and what `train_torch.py` wrote of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.students.study import REFERENCE, STUDENTS, Study
from u3p_edge.files.atomic import read_json


@dataclass(frozen=True)
class Trained:
    """A student with the scores of all its seeds, as `train_torch.py` wrote them in float32.

    Args:
        name, kind, budget, made, control, predicted_ms, macs, parameters: see `benchmarks.students.candidates.Student`.
        seeds: that it was trained with.
        val, test: Dice of the float32 network in percent, mean over patients, classes and seeds.
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


def read_trained(study: Study, seeds: tuple[int, ...]) -> tuple[Trained, ...]:
    """Return the students that are trained with all of some seeds; the others are left out."""
    trained = []
    for student in read_json(study.folder / f"{STUDENTS}.json")[STUDENTS]:
        paths = [study.weights(student["name"], seed).with_suffix(".json") for seed in seeds]
        if all(path.exists() for path in paths):
            records = [read_json(path) for path in paths]
            means = {split: 100 * float(np.mean([record[split] for record in records])) for split in ("val", "test")}
            trained.append(Trained(**student, seeds=seeds, val=means["val"], test=means["test"]))
    return tuple(trained)


def describe_trained(study: Study, trained: Sequence[Trained]) -> dict[str, Any]:
    """Return what is kept of all trainings: scores of the reference and of every student by patient, and their histories."""
    names = [(REFERENCE, 0), *((student.name, seed) for student in trained for seed in student.seeds)]
    return {f"{name}_{seed}": read_json(study.weights(name, seed).with_suffix(".json")) for name, seed in names}
