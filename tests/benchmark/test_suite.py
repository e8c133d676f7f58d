"""A whole run over real artifacts."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.support.recorded_progress import RecordedProgress
from tests.support.small_artifacts import Zoo, picture, truth
from u3p_edge.benchmark.references import shorten_names
from u3p_edge.benchmark.result_file import read_result, save_result
from u3p_edge.benchmark.suite import EvaluationData, Settings, measure
from u3p_edge.data.fit_notes import Original
from u3p_edge.data.load import Arrays
from u3p_edge.errors import ConfigError

FILES = ("float32.tflite", "int8.tflite", "float32.onnx", "int8.onnx")


@pytest.fixture(scope="module")
def data() -> EvaluationData:
    seeds = (20, 21, 22)
    images, labels = np.stack([picture(seed) for seed in seeds]), np.stack([truth(seed) for seed in seeds])
    originals = (Original((48, 64)), Original((96, 80)), Original((96, 80)))
    return EvaluationData("pictures", "test", Arrays(images, labels, ("a", "b", "c"), ("p", "p", "q"), originals))


def test_everything_is_measured_side_by_side(zoo: Zoo, data: EvaluationData, tmp_path: Path) -> None:
    progress = RecordedProgress()
    measured = measure(
        [zoo.path(kind) for kind in FILES],
        data=data,
        settings=Settings(threads=(1, 2), rounds=5, memory_repeats=1),
        command="bench",
        progress=progress,
    )
    run = measured.result
    assert run.reference == "model.float32.tflite"
    assert [a.format for a in run.artifacts] == ["tflite-float32", "tflite-int8", "onnx-float32", "onnx-int8"]
    assert run.threads == (1, 2)
    assert [(shown.threads, shown.ended) for shown in run.conditions] == [(1, "rounds"), (2, "rounds")]
    assert run.data is not None
    assert (run.data.images, run.data.groups) == (3, 2)
    for a in run.artifacts:
        assert a.bytes == (zoo.folder / a.name).stat().st_size
        assert a.memory is not None
        assert a.accuracy is not None
        assert a.accuracy.mean_dice is not None
        assert a.accuracy.mean_dice > 0.95
        assert a.accuracy.agreement > (0.9999 if "float32" in a.format else 0.99)
        assert measured.predictions[a.name].shape == (3, 48, 64)
        assert a.frames is not None
        assert (a.frames.threads, a.frames.size) == (2, (96, 80))
        assert len(a.frames.prepare_ms) == len(a.frames.network_ms) == len(a.frames.restore_ms) == 5
        assert a.cold_start is not None
        assert len(a.cold_start.total_ms) == 1
        assert a.structure is not None
        assert len(a.accuracy.image_dice) == len(run.data.image_names) == 3
        assert len(a.accuracy.group_dice) == len(run.data.group_names) == 2
    assert progress.stages[-1] == ("Measure memory and cold start in fresh processes", 4)
    assert ("Time at 2 threads", 5) in progress.stages
    save_result(tmp_path / "r.json", run)
    assert read_result(tmp_path / "r.json") == run


def test_parts_can_be_left_out(zoo: Zoo) -> None:
    run = measure([zoo.path("int8.onnx")], settings=Settings(threads=(), memory_repeats=0)).result
    only = run.artifacts[0]
    assert (run.reference, only.latencies, only.memory, only.accuracy, run.data) == ("model.int8.onnx", (), None, None, None)


def test_agreement_refers_to_the_labels_that_are_given(zoo: Zoo, data: EvaluationData) -> None:
    settings = Settings(threads=(), memory_repeats=0)
    nowhere = np.full_like(data.arrays.labels, 7)
    run = measure([zoo.path("int8.onnx")], data=data, reference_labels=nowhere, settings=settings).result
    assert run.artifacts[0].accuracy is not None
    assert run.artifacts[0].accuracy.agreement == 0


@pytest.mark.parametrize("order", [1, -1])
def test_the_reference_does_not_depend_on_the_order_of_the_files(zoo: Zoo, order: int) -> None:
    paths = [zoo.path(kind) for kind in ("float32.onnx", "float32.tflite", "int8.onnx", "int8.tflite")][::order]
    settings = Settings(threads=(), memory_repeats=0)
    assert measure(paths, settings=settings).result.reference == "model.float32.tflite"


def test_the_model_before_pruning_is_the_reference_where_it_is_there(zoo: Zoo, tmp_path: Path) -> None:
    original = tmp_path / "reference.float32.tflite"
    shutil.copyfile(zoo.path("float32.tflite"), original)
    paths = [zoo.path("float32.tflite"), zoo.path("int8.tflite"), original]
    assert measure(paths, settings=Settings(threads=(), memory_repeats=0)).result.reference == original.name


def test_the_reference_can_be_chosen(zoo: Zoo) -> None:
    paths = [zoo.path("float32.tflite"), zoo.path("float32.onnx")]
    settings = Settings(threads=(), memory_repeats=0)
    assert measure(paths, reference="model.float32.onnx", settings=settings).result.reference == "model.float32.onnx"
    with pytest.raises(ConfigError, match="'absent' is none of the models"):
        measure(paths, reference="absent", settings=settings)


def test_models_of_different_tasks_are_refused(zoo: Zoo, tmp_path: Path) -> None:
    from dataclasses import replace

    from u3p_edge.conversion.tflite.schema import add_metadata

    other = replace(zoo.metadata, class_names=("background", "x", "y"))
    (tmp_path / "other.tflite").write_bytes(add_metadata(zoo.path("int8.tflite").read_bytes(), other))
    with pytest.raises(ConfigError, match="differ in preprocessing or classes"):
        measure([zoo.path("int8.tflite"), tmp_path / "other.tflite"], settings=Settings(threads=(), memory_repeats=0))


def test_names_are_as_short_as_they_can_be() -> None:
    assert shorten_names([Path("a/x.tflite"), Path("a/y.onnx")]) == ("x.tflite", "y.onnx")
    assert shorten_names([Path("a/r/x.tflite"), Path("b/r/x.tflite")]) == ("a/r/x.tflite", "b/r/x.tflite")
    with pytest.raises(ConfigError, match="twice"):
        shorten_names([Path("x.onnx"), Path("./x.onnx")])
    with pytest.raises(ConfigError, match="no model"):
        shorten_names([])


def test_too_few_rounds_are_refused() -> None:
    with pytest.raises(ConfigError, match="3 rounds are too few"):
        Settings(rounds=3)
    with pytest.raises(ConfigError, match="must be 1 to"):
        Settings(threads=(0,))
