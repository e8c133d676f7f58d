"""Prepare what `train_torch.py` trains: first the reference of a data set, then the students that it teaches.

The reference is a UNet 3+ of base width 16 with a head at every decoder, trained until validation stops improving. All students
learn from it for equally long, with the same options, whether they were pruned from it or built anew.
"""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import tf_keras

from benchmarks.students.candidates import list_students
from benchmarks.students.exchange import with_weights, write_network
from benchmarks.students.study import REFERENCE, STUDENTS, Study
from u3p_edge.data.load import Arrays
from u3p_edge.files.atomic import write_bytes, write_json, write_text
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.models.store import save_model
from u3p_edge.models.unet3plus import build
from u3p_edge.progress import Progress
from u3p_edge.training.output import RECIPE

EPOCHS = {"hippocampus_64": (40, 30)}
"""Of the reference and of a student; sets with fewer images get more."""

ARRAYS = "arrays.npz"


def prepare_reference(study: Study, progress: Progress) -> None:
    """Write the arrays of the splits, the reference's network without weights, and the job that trains it."""
    data = study.read_data(progress)
    arrays: dict[str, np.ndarray] = {}
    for name, split in {"train": data.train, "val": data.val, "test": data.test}.items():
        arrays |= {f"{name}_{key}": value for key, value in _arrays_of(split).items()}
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # of a later keyword that no array is named like
    write_bytes(study.folder / ARRAYS, file.getvalue())
    write_network(study.network(REFERENCE), from_keras(build(study.recipe.model_config())), weights=False)
    options = {**_options(study, 0), "learning_rate": 2e-3, "validate": 4, "distillation": 0, "momentum": 0.01}
    job = {"name": REFERENCE, "network": f"networks/{REFERENCE}.json"}
    write_json(study.jobs(REFERENCE), {"data": ARRAYS, "teacher": None, "defaults": options, "jobs": [job]})


def prepare_students(study: Study, progress: Progress) -> None:
    """Write the reference's run folder, and of every student its network, where it starts from, and its job.

    Raises:
        ArtifactError: the reference is not trained yet.
    """
    save_reference(study)
    source, data = study.read_reference(), study.read_data(progress)
    students, jobs = [], []
    for student in list_students(source, data, study.folder, progress):
        write_network(study.network(student.name), student.graph, weights=not student.control)
        students.append(student.describe())
        start = {} if student.control else {"weights": f"networks/{student.name}.npz"}
        jobs.append({"name": student.name, "network": f"networks/{student.name}.json", **start})
    write_json(study.folder / f"{STUDENTS}.json", {STUDENTS: students})
    options = {**_options(study, 1), "learning_rate": 3e-3, "validate": 6, "distillation": 1.0, "momentum": 0.1}
    teacher = {"network": f"networks/{REFERENCE}.json", "weights": f"trained/{REFERENCE}_0.npz"}
    write_json(study.jobs(STUDENTS), {"data": ARRAYS, "teacher": teacher, "defaults": options, "jobs": jobs})


def save_reference(study: Study) -> None:
    """Write the trained reference as a run folder, as `u3p-edge train` would."""
    recipe = study.recipe
    model = build(recipe.model_config())
    trained = to_keras(with_weights(from_keras(model), study.weights(REFERENCE, 0)))
    values = {variable.name: variable.numpy() for variable in trained.weights}
    for variable in model.weights:
        variable.assign(values[variable.name])
    save_model(study.folder / REFERENCE, model, recipe.model_config(), recipe.metadata())
    write_text(study.folder / REFERENCE / RECIPE, recipe.to_toml())
    tf_keras.backend.clear_session()


def _arrays_of(split: Arrays) -> dict[str, np.ndarray]:
    return {"images": split.images.astype(np.float16), "labels": split.labels, "groups": np.array(split.groups)}


def _options(study: Study, part: int) -> dict[str, object]:
    """Return what the jobs of the reference (part 0) and of the students (part 1) have in common."""
    augmentation = study.recipe.augmentation
    assert augmentation is not None, "every recipe of this benchmark augments"
    return {
        "epochs": EPOCHS.get(study.data.name, (60, 60))[part], "batch": 16, "warmup": 1, "averaging": 0.995,
        "augmentation": dataclasses.asdict(augmentation),
    }  # fmt: skip
