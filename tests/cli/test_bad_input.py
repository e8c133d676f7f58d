"""Bad input through the real command line: one sentence, exit code 2, no traceback, nothing half-written in --out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command_line import Program, left_in, make_pictures, refusal
from tests.support.small_artifacts import SHAPE, Zoo, picture, truth
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained UNet 3+ for the pictures, of two labels, as `train` leaves one."""
    from u3p_edge.models.config import preset
    from u3p_edge.models.store import save_model
    from u3p_edge.models.unet3plus import build

    folder = tmp_path_factory.mktemp("models") / "run"
    config = preset("article", input_shape=SHAPE, base_width=2, classes=1, deep_supervision=False)
    save_model(folder, build(config), config, default_metadata(Preprocessing(*SHAPE), labels=2))
    return folder


@pytest.fixture
def folder(pictures: Path, tmp_path: Path) -> Path:
    """A copy of the pictures to spoil."""
    return Path(shutil.copytree(pictures, tmp_path / "pictures"))


def cut(path: Path, to: Path) -> Path:
    """The first half of a file."""
    to.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return to


# --- models


@pytest.mark.parametrize("name", ["absent", "absent.keras", "absent.h5"])
def test_a_missing_float_model(program: Program, tmp_path: Path, name: str) -> None:
    message = refusal(program("export", tmp_path / name, "--int8", "--out", tmp_path / "out"))
    assert message == f"the model {tmp_path / name} does not exist"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["absent.tflite", "absent.onnx"])
def test_a_missing_exported_model(program: Program, image: Path, tmp_path: Path, name: str) -> None:
    for arguments in (("predict", tmp_path / name, image, "--out", tmp_path / "out"), ("bench", tmp_path / name)):
        assert refusal(program(*arguments)) == f"{tmp_path / name} does not exist"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_truncated_keras_file(program: Program, keras_files: dict[str, Path], tmp_path: Path, suffix: str) -> None:
    path = cut(keras_files[suffix], tmp_path / f"cut{suffix}")
    message = refusal(program("export", path, "--int8", "--out", tmp_path / "out"))
    assert message.startswith(f"{path} is ")
    assert "truncated" in message or "damaged" in message
    assert left_in(tmp_path / "out") == []


def test_a_truncated_run_folder(program: Program, run_folder: Path, pictures: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(run_folder, tmp_path / "run"))
    cut(run_folder / "model.safetensors", broken / "model.safetensors")
    message = refusal(program("export", broken, "--int8", "--data", pictures, "--out", tmp_path / "out"))
    assert str(broken / "model.safetensors") in message
    assert "cut short" in message
    (broken / "model.safetensors").unlink()
    message = refusal(program("export", broken, "--int8", "--data", pictures, "--out", tmp_path / "out"))
    assert "holds no model.safetensors" in message
    assert left_in(tmp_path / "out") == []


@pytest.mark.parametrize("kind", ["int8.tflite", "float32.tflite", "int8.onnx", "float32.onnx"])
def test_a_truncated_exported_model(program: Program, zoo: Zoo, image: Path, tmp_path: Path, kind: str) -> None:
    path = cut(zoo.path(kind), tmp_path / f"cut.{kind}")
    saved = tmp_path / "result.json"
    for arguments in (("predict", path, image, "--out", tmp_path / "out"), ("bench", path, "--save", saved)):
        message = refusal(program(*arguments))
        assert message.startswith(str(path))
        assert "truncated" in message
    assert not (tmp_path / "out").exists()
    assert not saved.exists()


def test_an_exported_model_is_not_a_float_model(program: Program, zoo: Zoo, tmp_path: Path) -> None:
    message = refusal(program("export", zoo.path("int8.tflite"), "--int8", "--out", tmp_path / "out"))
    assert "is not a Keras file" in message


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_in_a_keras_file_runs_only_when_trusted(program: Program, tmp_path: Path, suffix: str) -> None:
    import tf_keras

    pixels = tf_keras.Input(SHAPE)
    mask = tf_keras.layers.Conv2D(1, 1, activation="sigmoid")(tf_keras.layers.Lambda(lambda x: x * 2, name="twice")(pixels))
    path, out = tmp_path / f"m{suffix}", tmp_path / "out"
    tf_keras.Model(pixels, mask).save(path)
    message = refusal(program("export", path, "--int8", "--out", out))
    assert "'twice' uses 'Lambda'" in message
    assert "--trust" in message
    assert left_in(out) == []
    # Trusted, it is read; that an integer network cannot hold Python is then said of the layer.
    message = refusal(program("export", path, "--int8", "--out", out, "--trust"))
    assert "twice" in message
    assert "--trust" not in message


# --- data


def without_masks(folder: Path) -> str:
    shutil.rmtree(folder / "masks")
    return "has no folder masks/"


def no_image(folder: Path) -> str:
    (folder / "images" / "p1.png").write_bytes(b"a text that calls itself a picture")
    return "p1.png is not an image that can be read"


def other_size(folder: Path) -> str:
    Image.fromarray(truth(1)[:40]).save(folder / "masks" / "p1.png")
    return "p1.png has 48x64 pixels (height x width) but its mask"


def no_validation(folder: Path) -> str:
    split = folder / "split.csv"
    split.write_text(split.read_text().replace("val", "train"))
    return "has no images in its split 'val'"


def nan_pixels(folder: Path) -> str:
    pixels = picture(1)[:, :, 0].copy()
    pixels[5, 6] = np.nan
    (folder / "images" / "p1.png").unlink()
    Image.fromarray(pixels).save(folder / "images" / "p1.tif")
    return "p1.tif has pixels that are not numbers"


def absent(folder: Path) -> str:
    shutil.rmtree(folder)
    return "does not exist"


@pytest.mark.parametrize("spoil", [without_masks, no_image, other_size, no_validation, nan_pixels, absent])
def test_data_that_cannot_be_used(
    program: Program, keras_files: dict[str, Path], folder: Path, tmp_path: Path, spoil: Callable[[Path], str]
) -> None:
    expected = spoil(folder)
    out = tmp_path / "out"
    options = ("--int8", "--data", folder, "--out", out)
    assert expected in refusal(program("export", keras_files[".keras"], *options))
    assert left_in(out) == []
    assert expected in refusal(program("train", folder, "--out", out, "--size", "48x64", "--width", 2, "--epochs", 1))
    assert left_in(out) == []


def test_a_class_beyond_the_models(program: Program, zoo: Zoo, run_folder: Path, folder: Path, tmp_path: Path) -> None:
    options = ("--int8", "--data", folder, "--out", tmp_path / "out")
    assert "has the value 2, beyond the 2 classes" in refusal(program("export", run_folder, *options))
    Image.fromarray(truth(11) + 1).save(folder / "masks" / "p11.png")
    saved = tmp_path / "r.json"
    message = refusal(program("bench", zoo.path("int8.tflite"), "--data", folder, "--save", saved))
    assert f"the mask {folder / 'masks' / 'p11.png'} has the value 3, beyond the 3 classes (0 to 2)" in message
    assert not saved.exists()
    assert left_in(tmp_path / "out") == []


def test_a_class_beyond_a_keras_files(program: Program, keras_files: dict[str, Path], folder: Path, tmp_path: Path) -> None:
    Image.fromarray(truth(0) + 1).save(folder / "masks" / "p0.png")
    message = refusal(program("export", keras_files[".h5"], "--int8", "--data", folder, "--out", tmp_path / "out"))
    assert f"the mask {folder / 'masks' / 'p0.png'} has the value 3, beyond the 3 classes (0 to 2)" in message
    assert left_in(tmp_path / "out") == []


def test_an_empty_split_is_not_measured(program: Program, zoo: Zoo, tmp_path: Path) -> None:
    folder = make_pictures(tmp_path / "pictures", ("train", "train", "val"))
    message = refusal(program("bench", zoo.path("int8.tflite"), "--data", folder, "--save", tmp_path / "r.json"))
    assert "has no images in its split 'test' (2 in train, 1 in val, 0 in test)" in message
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("spoil", [no_image, nan_pixels])
def test_images_that_cannot_be_segmented(
    program: Program, zoo: Zoo, folder: Path, tmp_path: Path, spoil: Callable[[Path], str]
) -> None:
    expected = spoil(folder)
    images = len(list((folder / "images").iterdir()))
    done = program("predict", zoo.path("int8.tflite"), folder / "images", "--out", tmp_path / "out")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert expected in done.err
    assert len(left_in(tmp_path / "out")) == images - 1, "all others are done"
