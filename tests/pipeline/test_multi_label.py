"""Classes that may overlap, from masks by class to masks of predictions, and what is refused of them by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import u3p_edge as u3p
from tests.support.command_line import Program, refusal
from tests.support.overlapping_classes import CLASSES, SIZE, image, make_masks_by_class, make_network, members
from tests.support.recipes import make_recipe
from tests.support.slow import mark_slow
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.benchmark.suite import Settings
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.graph.ir import Graph
from u3p_edge.label_values import join_classes
from u3p_edge.pipeline.bench import bench
from u3p_edge.pipeline.export import export
from u3p_edge.pipeline.predict import predict
from u3p_edge.progress import silent
from u3p_edge.provenance.monai_bundle import bundle_inference
from u3p_edge.recipes.recipe import ModelOptions
from u3p_edge.runtime import open_session
from u3p_edge.scans.import_data import import_data
from u3p_edge.scans.options import ScanOptions

NAMES = ("background", *CLASSES)
QUICK = {"rounds": 5, "method": "ptq", "rewrite": False, "normalization": "range", "class_names": NAMES, "formats": ("tflite",)}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_masks_by_class(tmp_path_factory.mktemp("classes") / "in")


@pytest.fixture(scope="module")
def data(sources: Path) -> Path:
    import_data(sources, sources.parent / "data", ScanOptions(classes=CLASSES, overlap="keep"))
    return sources.parent / "data"


@pytest.fixture(scope="module")
def network(sources: Path) -> Path:
    return make_network(sources.parent / "network.keras")


@pytest.fixture(scope="module")
def exported(network: Path, data: Path) -> Path:
    run = data.parent / "exported"
    export(network, data, run, make_recipe(**QUICK), progress=silent)
    return run


def expected(seed: int) -> np.ndarray:
    return join_classes(members(seed))


def test_the_files_tell_every_class_of_a_pixel(exported: Path) -> None:
    for name in ("model.int8.tflite", "model.float32.tflite"):
        session = open_session(exported / name)
        assert session.metadata.multi_label
        probabilities = session.run(np.full((*SIZE, 3), 200 / 255, np.float32))
        assert probabilities[1:-1, 1:-1].min() > 0.9  # both channels at once, away from the zero padding
        labels = u3p.open_session(exported / name).predict(image(3))
        both = expected(3) == 3
        assert both.sum() > 100
        # The network averages over 3x3 pixels, so that only borders may differ.
        assert (labels[both] == 3).mean() > 0.9
        assert (labels != expected(3)).mean() < 0.1


def test_every_class_is_scored_for_itself(exported: Path) -> None:
    result = read_result(exported / "report.json")
    assert result.class_names == NAMES
    scores = {one.name: one.accuracy for one in result.artifacts if one.accuracy}
    for accuracy in scores.values():
        assert all(dice is not None and dice > 0.9 for dice in accuracy.dice)
        assert accuracy.distances is not None
    assert scores["model.int8.tflite"].agreement > 0.98
    report, card = ((exported / name).read_text() for name in ("report.md", "model_card.md"))
    sentence = "the probability of each class but the background; a pixel is of every class for which it is 0.5 or more"
    assert f"For each pixel the files give {sentence}." in report
    assert sentence in card
    assert "(background, blob, bar), which may overlap, on a small device" in card


def test_a_benchmark_scores_as_the_export_did(exported: Path, data: Path) -> None:
    files = [exported / name for name in ("model.float32.tflite", "model.int8.tflite")]
    again = bench(files, data, settings=Settings(threads=(), memory_repeats=0))
    before = {one.name: one.accuracy for one in read_result(exported / "report.json").artifacts}
    for artifact in again.artifacts:
        accuracy = before[artifact.name]
        assert artifact.accuracy is not None
        assert accuracy is not None
        assert artifact.accuracy.dice == accuracy.dice


def test_predicted_masks_are_sets_of_classes_that_an_overlay_mixes(exported: Path, sources: Path, tmp_path: Path) -> None:
    predict(exported / "model.int8.tflite", [sources / "images" / "p3.png"], tmp_path, overlay=True)
    mask = np.asarray(Image.open(tmp_path / "p3.png"))
    assert (mask.shape, mask.dtype) == (SIZE, np.uint8)
    np.testing.assert_array_equal(mask, u3p.open_session(exported / "model.int8.tflite").predict(image(3)))
    assert set(np.unique(mask)) == {0, 1, 2, 3}
    colours = open_session(exported / "model.int8.tflite").metadata.value_colours
    assert colours[3] == tuple(round((a + b) / 2) for a, b in zip(colours[1], colours[2], strict=True))
    picture = np.asarray(Image.open(tmp_path / "p3_overlay.png")).astype(int)
    one, two = (picture[mask == value].mean(axis=0) for value in (1, 2))
    assert (np.abs(picture[mask == 3].mean(axis=0) - one) > 5).any()
    assert (np.abs(picture[mask == 3].mean(axis=0) - two) > 5).any()


def test_files_of_labels_are_refused_before_anything_is_read(network: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gives one class a pixel, and the model's classes may overlap") as caught:
        export(network, tmp_path / "missing", tmp_path / "run", make_recipe(**QUICK, output="labels"), progress=silent)
    assert "--output probabilities or --output logits" in caught.value.mend


def test_data_of_the_other_kind_are_refused(network: Path, exported: Path, sources: Path, data: Path, tmp_path: Path) -> None:
    import_data(sources, tmp_path / "indices", ScanOptions(classes=CLASSES, overlap="last"))
    wrong = r"the model has classes that may overlap \(multi-label\), and the masks beside .*p\d\.png one class a pixel"
    with pytest.raises(DataError, match=wrong):
        export(network, tmp_path / "indices", tmp_path / "run", make_recipe(**QUICK), progress=silent)
    with pytest.raises(DataError, match=wrong):
        bench([exported / "model.int8.tflite"], tmp_path / "indices")
    soft = make_network(tmp_path / "soft.keras", "softmax")
    names = {**QUICK, "class_names": ("background", "blob")}
    # Two channels of a softmax are background and one class: that is no model of two overlapping classes.
    with pytest.raises(DataError, match="beyond the sets of its classes"):
        export(soft, data, tmp_path / "run", make_recipe(**names), progress=silent)


def test_models_of_two_kinds_are_not_compared(exported: Path, tmp_path: Path) -> None:
    session = open_session(exported / "model.float32.tflite")
    plain = dataclasses.replace(session.metadata, mask_channels=3)
    u3p.write_tflite(three_classes(), tmp_path / "plain.tflite", plain)
    with pytest.raises(ConfigError, match="differ in preprocessing or classes"):
        bench([exported / "model.float32.tflite", tmp_path / "plain.tflite"], settings=Settings(threads=(), memory_repeats=0))


def three_classes() -> Graph:
    import tf_keras as keras

    picture = keras.Input((*SIZE, 3))
    return u3p.from_keras(keras.Model(picture, keras.layers.Conv2D(3, 1, activation="softmax")(picture)))


def test_logits_get_a_sigmoid_each_where_that_is_asked_for(network: Path, tmp_path: Path) -> None:
    logits = make_network(tmp_path / "logits.keras", "linear")
    loaded = u3p.load(logits, ModelOptions(multi_label=True, class_names=NAMES))
    assert (loaded.metadata.multi_label, loaded.metadata.labels, loaded.metadata.channels_out) == (True, 3, 2)
    batch = np.random.default_rng(0).random((2, *SIZE, 3), np.float32)
    same = u3p.load(network)
    assert same.metadata.multi_label
    np.testing.assert_array_equal(loaded.model.predict(batch, verbose=0), same.model.predict(batch, verbose=0))
    assert not u3p.load(logits).metadata.multi_label
    with pytest.raises(ConfigError, match="2 class names were given for a model of 3 classes"):
        u3p.load(network, ModelOptions(class_names=CLASSES))


def test_metadata_say_what_their_channels_mean() -> None:
    plain = default_metadata(Preprocessing(16, 16), labels=4)
    sets = dataclasses.replace(plain, mask_channels=3)
    assert (plain.multi_label, sets.multi_label) == (False, True)
    assert type(sets).from_json(sets.to_json()) == sets
    assert (len(plain.value_colours), len(sets.value_colours)) == (4, 8)
    assert plain.value_colours == plain.colours
    assert not default_metadata(Preprocessing(16, 16), labels=2).multi_label
    bundle = bundle_inference(sets)["postprocessing"]
    assert (bundle["threshold"], "argmax" in bundle) == (0.5, False)
    with pytest.raises(ConfigError, match="8 classes that may overlap are too many"):
        dataclasses.replace(default_metadata(Preprocessing(16, 16), labels=9), mask_channels=8)


@pytest.mark.parametrize("loss", mark_slow(["dice_ce", "hybrid"], ["dice_ce", "hybrid"]))
def test_masks_by_class_to_a_verified_int8_file_and_a_mask(loss: str, sources: Path, program: Program, tmp_path: Path) -> None:
    """A trained network, its gate included, through quantization-aware training, pruning and every check of the files."""
    data, run, out = tmp_path / "data", tmp_path / "run", tmp_path / "exported"
    small = ("--size", "48x64", "--width", "4", "--batch", "2", "--cgm", "--loss", loss, "--fit", "pad")
    quick = ("--no-rewrite", "--rounds", "5", "--calibration-images", "2", "--min-sqnr", "-20", "--qat-epochs", "1")
    for words in (
        ("data", "import", sources, "--out", data, "--overlap", "keep", "--classes", ",".join(CLASSES)),
        ("data", "check", data),
        ("train", data, "--out", run, *small, "--epochs", "40", "--patience", "0", "--lr", "0.01"),
        ("export", run, "--int8", "--method", "qat", "--data", data, "--out", out, "--recipe", "exact", *quick),
        ("verify", out, "--data", data),
        ("predict", out, sources / "images" / "p3.png", "--out", tmp_path / "masks"),
    ):
        done = program(*words)
        assert done.code == 0, (words, done.out, done.err)
    assert "0 background, 1 blob, 2 bar, their sum where they overlap" in done.out
    (float_score, int8_score) = (
        next(one.accuracy for one in read_result(out / "report.json").artifacts if one.name == name)
        for name in ("model.float32.tflite", "model.int8.tflite")
    )
    assert float_score is not None
    assert int8_score is not None
    # 40 epochs on six images of two colours; what a network that knows only one of two overlapping classes reaches is below .6.
    assert (float_score.mean_dice or 0) > 0.8
    mask = np.asarray(Image.open(tmp_path / "masks" / "p3.png"))
    assert set(np.unique(mask)) == {0, 1, 2, 3}
    refused = program("export", run, "--int8", "--data", data, "--out", tmp_path / "labels", "--output", "labels")
    assert "classes may overlap" in refusal(refused)
