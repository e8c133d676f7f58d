"""What an export starts from: run folders, two classes by softmax, the article's own model, layers that a format lacks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.article_model import Builder
from tests.support.command_line import QUICK, ROUNDS, Program, left_in, refusal
from tests.support.exported_files import CHOICE, MODELS, NETWORK, REPORTS, REWRITES
from tests.support.small_artifacts import SHAPE, picture, truth
from u3p_edge.benchmark.result_file import read_result
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.manifest import read_manifest
from u3p_edge.pipeline.verify import FLOAT_TOLERANCE
from u3p_edge.runtime import open_session


def test_a_run_folder_keeps_its_own_files_and_names(program: Program, pictures: Path, tmp_path: Path) -> None:
    from u3p_edge.models.config import preset
    from u3p_edge.models.store import save_model
    from u3p_edge.models.unet3plus import build

    run = tmp_path / "run"
    config = preset("article", input_shape=SHAPE, base_width=2, classes=3, normalization="none")
    metadata = default_metadata(Preprocessing(*SHAPE, normalization="range"), labels=3, names=("dark", "blob", "bar"))
    save_model(run, build(config), config, metadata)
    arguments = ("--data", pictures, "--formats", "tflite", "--no-rewrite", *QUICK)
    # Into the very folder that it comes from: the model is neither harmed nor forgotten.
    ended = program("export", run, "--out", run, *arguments)
    assert ended.code == 0, ended.err
    assert {"model.safetensors", "model.json", "model.float32.tflite"} <= {path.name for path in run.iterdir()}
    result = open_session(run / "model.float32.tflite").metadata
    assert (result.class_names, result.preprocessing) == (metadata.class_names, metadata.preprocessing)
    assert "held this very export already" in program("export", run, "--out", run, *arguments).out


@pytest.mark.slow  # tests/conversion/onnx/test_writers.py writes a network of several classes
def test_two_classes_by_softmax(program: Program, pictures: Path, tmp_path: Path) -> None:
    """A mask of two channels (the article's class_num=2) is a binary model all the same."""
    model = two_channels()
    source, data, run = tmp_path / "two.keras", tmp_path / "data", tmp_path / "run"
    model.save(source)
    shutil.copytree(pictures, data)
    for path in (data / "masks").iterdir():
        with Image.open(path) as mask:
            binary = np.where(np.asarray(mask) == 2, 255, 0).astype(np.uint8)
        Image.fromarray(binary).save(path)
    options = ("--int8", "--qat-epochs", 1, "--class-names", "rest,bar", "--normalize", "range", "--accept", *QUICK)
    ended = program("export", source, "--data", data, "--out", run, *options)
    assert ended.code == 0, ended.err
    image = data / "images" / "p11.png"
    for name in MODELS:
        metadata = open_session(run / name).metadata
        assert (metadata.labels, metadata.mask_channels, metadata.channels_out) == (2, 2, 2)
        assert program("predict", run / name, image, "--out", tmp_path / name).code == 0
        with Image.open(tmp_path / name / "p11.png") as mask:
            result = np.asarray(mask)
        assert set(np.unique(result)) == {0, 255}
        # The mean over 3x3 pixels errs along the outline of the bar, 2 * (13 + 58) of 48 * 64 pixels, 4.6 %.
        assert ((result == 255) == (truth(11) == 2)).mean() > 0.95
    assert "beyond the 2 classes" in refusal(program("bench", run / MODELS[0], "--data", pictures, *ROUNDS))


def two_channels() -> Any:
    """Background and bar, which differ in brightness: logit of the bar is 40 (mean of 3x3 pixels - 0.65)."""
    import tf_keras as keras

    image = keras.Input(SHAPE, name="image")
    mean = keras.layers.Conv2D(2, 3, padding="same", name="mean")
    mask = keras.layers.Conv2D(2, 1, activation="softmax", name="mask")
    model = keras.Model(image, mask(keras.layers.ReLU()(mean(image))))
    mean.set_weights([np.full((3, 3, 1, 2), 1 / 9, np.float32), np.zeros(2, np.float32)])
    mask.set_weights([np.array([[[[0, 20], [0, 20]]]], np.float32), np.array([0, -26], np.float32)])
    return model


@pytest.fixture(scope="module")
def article_model(article_builder: Builder) -> Any:
    """The article's network with deep supervision and its gate, trained for a few steps; what its reader has at the end."""
    import tf_keras as keras

    keras.utils.set_random_seed(0)
    model = article_builder((*SHAPE[:2], 1), initial_features=2, using_deep_supervision=True, using_cgm=True)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.5  # its statistics follow in a few steps
    images = np.stack([picture(seed) for seed in range(6)])
    masks = np.stack([truth(seed) > 0 for seed in range(6)]).astype(np.float32)[..., None]
    targets = {name: masks for name in model.output_names if "cgm" not in name}
    present = {name: np.ones((6, *model.get_layer(name).output.shape[1:])) for name in model.output_names if "cgm" in name}
    losses = dict.fromkeys(model.output_names, "binary_crossentropy")
    model.compile(keras.optimizers.Adam(1e-2), losses, run_eagerly=True)  # tracing takes longer than six steps
    model.fit(images, targets | present, batch_size=6, epochs=6, verbose=0)
    return model


# The export of a network this deep takes long. `tests/models/test_keras_file.py` reads such files, and
# `tests/graph/test_inference.py` compares the gated mask; the rest is the same for every network.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "options", "files"),
    [
        (".h5", ("--int8", "--ptq"), [*MODELS, NETWORK, CHOICE, REWRITES]),
        (".keras", ("--no-int8", "--formats", "tflite", "--no-rewrite"), ["model.float32.tflite"]),
    ],
)
def test_the_articles_own_model(
    program: Program,
    article_model: Any,
    pictures: Path,
    tmp_path: Path,
    suffix: str,
    options: tuple[str, ...],
    files: list[str],
) -> None:
    assert len(article_model.outputs) > 2, "masks at several scales and the gate"
    source, data, run = tmp_path / f"unet3plus{suffix}", tmp_path / "data", tmp_path / "run"
    article_model.save(source)
    shutil.copytree(pictures, data)
    for path in (data / "masks").iterdir():
        with Image.open(path) as mask:
            binary = np.where(np.asarray(mask) > 0, 255, 0).astype(np.uint8)
        Image.fromarray(binary).save(path)
    # Six steps of training: perhaps no better than a constant prediction.
    ended = program("export", source, "--data", data, "--out", run, "--accept", *options, *QUICK)
    assert ended.code == 0, ended.err
    assert left_in(run) == sorted(["manifest.json", *files, *REPORTS])
    image = picture(40)
    for name in (name for name in files if name in MODELS):
        assert open_session(run / name).run(image).shape == (*SHAPE[:2], 1)
    # What the article's reader multiplies by hand: the mask at scale 1 and the gate, the last of its units.
    outputs = dict(zip(article_model.output_names, article_model(image[None], training=False), strict=True))
    expected = np.asarray(outputs["output_de1"])[0] * float(outputs["cgm_output"][0, -1])
    values = open_session(run / "model.float32.tflite").run(image)
    np.testing.assert_allclose(values, expected, rtol=0, atol=FLOAT_TOLERANCE)


# --- a format that cannot express a layer


@pytest.fixture(scope="module")
def mish_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Keras file with a layer that TensorFlow's converter knows, and this package's writers do not."""
    import tf_keras

    image = tf_keras.Input(SHAPE, name="image")
    x = tf_keras.layers.Conv2D(4, 3, padding="same", activation="mish", name="bent")(image)
    model = tf_keras.Model(image, tf_keras.layers.Conv2D(3, 1, activation="softmax")(x))
    path = tmp_path_factory.mktemp("mish") / "mish.h5"
    model.save(path)
    return path


def test_a_format_that_fails_leaves_the_others(program: Program, mish_file: Path, pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ("export", mish_file, "--data", pictures, "--out", run, *QUICK, "--no-rewrite", "--accept")
    ended = program(*arguments)
    assert ended.code == 1
    assert "Traceback" not in ended.err
    assert ended.err.rstrip().endswith("u3p-edge: 1 of the files could not be made")
    sentence = "model.float32.onnx was not made: no operator computes the activation mish of 'bent'"
    assert sentence in (run / "report.md").read_text()
    assert [a.file for a in read_manifest(run).artifacts] == ["model.float32.tflite"]
    assert [a.name for a in read_result(run / "report.json").artifacts] == ["model.float32.tflite"]
    assert program(*arguments).code == 1, "what could not be made is not taken for done"


def test_where_no_format_is_left_the_layer_is_named(program: Program, mish_file: Path, pictures: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = (*QUICK, "--no-rewrite", "--accept", "--formats", "onnx")
    ended = program("export", mish_file, "--data", pictures, "--out", run, *options)
    assert "the activation mish of 'bent'" in refusal(ended)
    assert left_in(run) == []


@pytest.mark.parametrize("trained", [("--method", "qat"), ("--speedup", 2)])
def test_what_int8_lacks_is_refused_before_anything_is_trained(
    program: Program, mish_file: Path, pictures: Path, tmp_path: Path, trained: tuple[object, ...]
) -> None:
    ended = program("export", mish_file, "--int8", *trained, "--data", pictures, "--out", tmp_path / "run", *ROUNDS, "--accept")
    assert "int8 has no form of the activation 'mish' (layer 'bent')" in refusal(ended)
    assert left_in(tmp_path / "run") == []
    assert "float32" not in ended.err, "not even the float file is made first"
