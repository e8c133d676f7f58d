"""Write every trained student as an int8 file, and score it on the validation split: by that score finalists are chosen.

Post-training quantization comes first. Where it loses more than `QUANTIZATION_DROP` points against the float student,
quantization-aware training is tried too, as `u3p-edge export` does, and the file with the better score is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.students.exchange import read_network
from benchmarks.students.study import Study
from benchmarks.students.trained import Trained
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.data.calibration import calibration_indices
from u3p_edge.files.atomic import read_json, write_bytes, write_json
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.validation import file_scores, mean_dice, session_scores
from u3p_edge.progress import Progress, silent
from u3p_edge.quantization.ptq import quantize_ptq
from u3p_edge.quantization.qat import quantize_qat
from u3p_edge.recipes.recipe import QUANTIZATION_DROP, QuantizationOptions
from u3p_edge.runtime.keras import keras_session
from u3p_edge.training.losses import dice_cross_entropy

CALIBRATION = 64
"""Training images from which ranges of the int8 networks are measured."""


@dataclass(frozen=True)
class Int8Student:
    """The int8 file of one student and seed.

    Args:
        file: its name in the study's folder of files.
        method: "ptq" or "qat".
        float_val, ptq_val, qat_val: Dice in percent on the validation split; None where that was not tried.
    """

    file: str
    method: str
    float_val: float
    ptq_val: float
    qat_val: float | None = None

    @property
    def val(self) -> float:
        """Dice of the file in percent on the validation split."""
        return self.ptq_val if self.method == "ptq" or self.qat_val is None else self.qat_val


def quantize_students(
    study: Study, trained: Sequence[Trained], source: Source, data: ExportData, progress: Progress
) -> Mapping[str, list[Int8Student]]:
    """Write the int8 file of every student and seed that is not there yet; return them all, by the student's name."""
    step = progress("Quantize and validate", sum(len(student.seeds) for student in trained))
    made: dict[str, list[Int8Student]] = {}
    for student in trained:
        made[student.name] = []
        for seed in student.seeds:
            kept = study.files / f"{student.name}_{seed}.json"
            if not kept.exists():
                write_json(kept, asdict(_quantize(study, student.name, seed, source, data)))
            made[student.name].append(Int8Student(**read_json(kept)))
            step(student.name)
    return made


def calibration_images(data: ExportData) -> np.ndarray[Any, Any]:
    """Return the training images from which ranges are measured."""
    images: np.ndarray[Any, Any] = data.train.images[list(calibration_indices(data.train, CALIBRATION))]
    return images


def _quantize(study: Study, name: str, seed: int, source: Source, data: ExportData) -> Int8Student:
    graph = read_network(study.network(name), study.weights(name, seed))
    record = read_json(study.weights(name, seed).with_suffix(".json"))
    score = partial(_score, data=data)
    ptq = study.files / f"{name}_{seed}.int8.tflite"
    write_bytes(ptq, write_tflite(quantize_ptq(graph, calibration_images(data)), source.metadata))
    made = Int8Student(ptq.name, "ptq", 100 * float(record["val"]), score(ptq))
    if made.float_val - made.ptq_val <= QUANTIZATION_DROP:
        return made
    qat = study.files / f"{name}_{seed}_qat.int8.tflite"
    write_bytes(qat, _train_quantized(graph, source, data))
    qat_val = score(qat)
    kept, method = (qat, "qat") if qat_val > made.ptq_val else (ptq, "ptq")
    return Int8Student(kept.name, method, made.float_val, made.ptq_val, qat_val)


def _train_quantized(graph: Graph, source: Source, data: ExportData) -> bytes:
    """Return the TFLite file of a student that was trained under fake quantization, with the options of an export."""
    options = QuantizationOptions()
    trained = quantize_qat(
        to_keras(graph), data.train.images, data.train.labels,
        loss=dice_cross_entropy, epochs=options.qat_epochs, learning_rate=options.qat_learning_rate,
        distillation=options.qat_distillation,
        validate=lambda model: mean_dice(session_scores(keras_session(model, source.metadata), data.val)),
    )  # fmt: skip
    return write_tflite(trained.network, source.metadata)


def _score(path: Path, data: ExportData) -> float:
    return 100 * mean_dice(file_scores(path, data.val, silent))
