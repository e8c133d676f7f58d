"""Which int8 network is kept. The files that compete lie staged beforehand, so nothing is trained or converted here."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.recipes import make_recipe
from tests.support.small_artifacts import Zoo
from tests.support.tflite_models import graph, integers
from u3p_edge.benchmark.loss_check import LossCheck
from u3p_edge.benchmark.statistics import Interval
from u3p_edge.conversion.network_file import write_network
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Node
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.quantization_choice import QuantizationChoice
from u3p_edge.pipeline.quantize import quantize_source
from u3p_edge.pipeline.source import Source, read_source
from u3p_edge.pipeline.staging import Staging, open_staging
from u3p_edge.pipeline.validation import file_scores, mean_dice
from u3p_edge.progress import silent


@pytest.fixture(scope="session")
def poor(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zoo's network with its last layer scaled down and shifted: it finds less."""
    import tf_keras

    from u3p_edge.conversion.tflite.converter import convert_float

    model = tf_keras.models.clone_model(zoo.model)
    model.set_weights(zoo.model.get_weights())
    kernel, bias = model.get_layer("mask").get_weights()
    model.get_layer("mask").set_weights([kernel * 0.5, bias + np.array([1.5, 0, 0])])
    path = tmp_path_factory.mktemp("poor") / "poor.tflite"
    path.write_bytes(convert_float(model, zoo.metadata))
    return path


NETWORKS = {name: integers(graph([Node(name, "max_pool", ("image",))])) for name in ("ptq", "qat")}
"""Networks that differ in a name; each scores what the file beside it scores."""


def staged(folder: Path, **files: Path) -> Staging:
    staging = open_staging(folder, "key")
    for name, path in files.items():
        staging.file(f"{name}.tflite", path.read_bytes)
        if name in NETWORKS:
            staging.file(f"{name}.safetensors", partial(write_network, NETWORKS[name]))
    return staging


def chosen(staging: Staging, splits: ExportData, source: Any = None, **options: Any) -> tuple[str, QuantizationChoice]:
    """The source is for converting and training alone."""
    network, choice = quantize_source(source, Context(source, splits, make_recipe(**options), staging))
    return network.graph.outputs[0], choice


def test_training_is_not_tried_where_post_training_loses_nothing(zoo: Zoo, splits: ExportData, tmp_path: Path) -> None:
    files = {"float32": zoo.path("float32.tflite"), "ptq": zoo.path("float32.tflite")}
    name, choice = chosen(staged(tmp_path, **files), splits)
    assert (name, choice.method, choice.qat_dice, choice.drop) == ("ptq", "ptq", None, 0)


def test_training_is_kept_where_post_training_loses(zoo: Zoo, splits: ExportData, poor: Path, tmp_path: Path) -> None:
    staging = staged(tmp_path, float32=zoo.path("float32.tflite"), ptq=poor, qat=zoo.path("float32.tflite"))
    name, choice = chosen(staging, splits)
    assert (name, choice.method) == ("qat", "qat")
    assert choice.qat_dice == choice.float_dice == mean_dice(file_scores(zoo.path("float32.tflite"), splits.val, silent))
    assert choice.ptq_dice < choice.float_dice - 0.001
    assert choice.drop == 0
    # Equal in every patient; three of them show nothing all the same.
    assert choice.loss_check == LossCheck("not shown", 0.1, Interval(0.0, 0.0, 0.0), groups=3, images=3)
    # The choice is staged too: an interrupted export does not validate again.
    assert chosen(staging, splits) == (name, choice)


def test_training_is_not_kept_where_it_scores_worse(zoo: Zoo, splits: ExportData, poor: Path, tmp_path: Path) -> None:
    good = zoo.path("float32.tflite")
    name, choice = chosen(staged(tmp_path, float32=good, ptq=good, qat=poor), splits, method="qat")
    assert (name, choice.method, choice.drop) == ("ptq", "ptq", 0)
    assert choice.qat_dice is not None
    assert choice.qat_dice < choice.ptq_dice
    assert "kept: post-training quantization" in choice.notes[0]


def test_post_training_alone_and_a_wide_tolerance_never_train(zoo: Zoo, splits: ExportData, poor: Path, tmp_path: Path) -> None:
    for options in ({"method": "ptq"}, {"max_drop": 100.0}):
        folder = tmp_path / next(iter(options))
        name, choice = chosen(staged(folder, float32=zoo.path("float32.tflite"), ptq=poor), splits, **options)
        assert (name, choice.qat_dice) == ("ptq", None)
        assert choice.drop == pytest.approx(100 * (choice.float_dice - choice.ptq_dice))
        assert choice.drop > 0.1
        check = choice.loss_check
        assert check is not None
        assert check.loss is not None
        assert (check.loss.estimate, check.allowed) == (pytest.approx(choice.drop), options.get("max_drop", 0.1))
        assert check.loss.low < check.loss.estimate < check.loss.high


@pytest.fixture(scope="session")
def with_groups(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Source:
    """A network that post-training quantization can express and quantization-aware training cannot."""
    from tf_keras import Model, layers

    image = layers.Input(zoo.model.input_shape[1:], name="image")
    x = layers.Conv2D(4, 3, padding="same", groups=2, name="culprit")(layers.Conv2D(4, 3, padding="same")(image))
    model = Model(image, layers.Conv2D(3, 1, activation="softmax", name="mask")(x))
    path = tmp_path_factory.mktemp("groups") / "groups.keras"
    model.save(path)
    return read_source(path)


def test_what_cannot_be_trained_keeps_its_post_training_file(
    zoo: Zoo, splits: ExportData, poor: Path, with_groups: Source, tmp_path: Path
) -> None:
    staging = staged(tmp_path, float32=zoo.path("float32.tflite"), ptq=poor)
    name, choice = chosen(staging, splits, with_groups)
    assert (name, choice.method, choice.qat_dice) == ("ptq", "ptq", None)
    assert choice.drop > 0.1
    assert choice.qat_refused is not None
    assert "grouped convolutions (layer 'culprit')" in choice.qat_refused
    assert choice.notes[1] == f"Quantization-aware training was not possible: {choice.qat_refused}."
    assert not (staging.folder / "qat.safetensors").exists()
    assert chosen(staging, splits) == (name, choice)


def test_training_that_was_asked_for_is_refused_in_so_many_words(
    zoo: Zoo, splits: ExportData, poor: Path, with_groups: Source, tmp_path: Path
) -> None:
    staging = staged(tmp_path, float32=zoo.path("float32.tflite"), ptq=poor)
    with pytest.raises(ModelError, match=r"culprit.*Use post-training quantization"):
        chosen(staging, splits, with_groups, method="qat")


def test_a_choice_staged_before_refusals_were_recorded_is_still_read(zoo: Zoo, splits: ExportData, tmp_path: Path) -> None:
    staging = staged(tmp_path, float32=zoo.path("float32.tflite"), ptq=zoo.path("int8.tflite"))
    old = {"method": "ptq", "float_dice": 0.9, "ptq_dice": 0.9, "qat_dice": None, "calibration_images": 4}
    staging.file("int8.json", json.dumps(old).encode)
    _, choice = chosen(staging, splits)
    assert choice == QuantizationChoice("ptq", 0.9, 0.9, None, 4, qat_refused=None)
    assert len(choice.notes) == 1


def test_the_drop_is_that_of_the_kept_network_in_points() -> None:
    assert QuantizationChoice("ptq", 0.90, 0.88, None, 4).drop == pytest.approx(2)
    assert QuantizationChoice("ptq", 0.90, 0.88, 0.87, 4).drop == pytest.approx(2)
    assert QuantizationChoice("qat", 0.90, 0.88, 0.91, 4).drop == pytest.approx(-1)
    note = QuantizationChoice("qat", 0.90, 0.88, 0.91, 4).notes[0]
    assert "(float 90.00)" in note
    assert "on 4 training images lost 2.00 points, quantization-aware training gained 1.00 points" in note
    assert "by training on, not by its integers" in note
