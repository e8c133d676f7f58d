"""What a source says of how it was trained, and when that is asked."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from u3p_edge.data.augmentation import NO_AUGMENTATION
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.models.stored_files import reference_folder
from u3p_edge.pipeline.source import NO_FLIPS, Source, augmentation_of, read_source
from u3p_edge.recipes.recipe import ModelOptions
from u3p_edge.training.output import RECIPE
from u3p_edge.training.recipe import read_train_recipe


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """The reference model in a run folder whose recipe nobody can read."""
    folder = tmp_path_factory.mktemp("run") / "run"
    shutil.copytree(reference_folder(), folder)
    (folder / RECIPE).write_text("epochs = many", encoding="utf-8")
    return read_source(folder)


def test_a_recipe_that_cannot_be_read_is_in_nobodys_way_until_it_is_needed(damaged: Source) -> None:
    assert damaged.parameters > 0
    with pytest.raises(ConfigError, match=RECIPE):
        augmentation_of(damaged)


def test_the_augmentation_is_that_of_training(damaged: Source) -> None:
    own = replace(damaged, folder=reference_folder())
    assert augmentation_of(own) == read_train_recipe(reference_folder() / RECIPE).augmentation
    assert augmentation_of(own) != NO_FLIPS


def test_training_without_augmentation_stays_without(damaged: Source, tmp_path: Path) -> None:
    (tmp_path / RECIPE).write_text('augmentation = "none"\n', encoding="utf-8")
    assert augmentation_of(replace(damaged, folder=tmp_path)) == NO_AUGMENTATION


@pytest.mark.parametrize("known", [True, False])
def test_what_is_not_known_is_never_mirrored(damaged: Source, tmp_path: Path, known: bool) -> None:
    assert augmentation_of(replace(damaged, folder=tmp_path if known else None)) == NO_FLIPS


def save_open(path: Path, height: int | None) -> Path:
    """A network for images of that height and of any width."""
    import tf_keras

    image = tf_keras.Input((height, None, 1))
    half = tf_keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(image)
    up = tf_keras.layers.UpSampling2D(2, interpolation="bilinear")(half)
    tf_keras.Model(image, tf_keras.layers.Conv2D(1, 1, activation="sigmoid")(up)).save(path)
    return path


def test_a_keras_model_of_open_size_gets_the_size_that_is_given(tmp_path: Path) -> None:
    path = save_open(tmp_path / "open.keras", None)
    with pytest.raises(ModelError, match=r"no fixed size: \(None, None, 1\).*--size 256x256"):
        read_source(path)
    source = read_source(path, ModelOptions(size=(32, 48)))
    assert source.graph.shapes["mask"] == (1, 32, 48, 1)
    assert (source.metadata.preprocessing.height, source.metadata.preprocessing.width) == (32, 48)
    assert source.model.input_shape == (None, 32, 48, 1)


def test_a_size_must_be_that_of_the_model(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the model is for images of 64xNone, not 32x48"):
        read_source(save_open(tmp_path / "half.keras", 64), ModelOptions(size=(32, 48)))
    with pytest.raises(ConfigError, match="has a size of its own"):
        read_source(reference_folder(), ModelOptions(size=(32, 48)))
