from __future__ import annotations

from pathlib import Path

import pytest

from u3p_edge.data.augmentation import Augmentation
from u3p_edge.errors import ConfigError
from u3p_edge.training.recipe import TrainRecipe, first_difference, parse_recipe, read_train_recipe


@pytest.mark.parametrize(
    "recipe",
    [
        TrainRecipe(),
        TrainRecipe(augmentation=None, labels=3, channels=3, class_names=("background", 'a "quoted" name', "größe")),
        TrainRecipe(size=(192, 224), cgm=True, loss="hybrid", learning_rate=1e-5, augmentation=Augmentation(rotation=3)),
    ],
)
def test_toml_gives_the_recipe_back(recipe: TrainRecipe) -> None:
    assert parse_recipe(recipe.to_toml()) == recipe


def test_options_left_out_have_their_defaults() -> None:
    assert parse_recipe("epochs = 3\n[augmentation]\nrotation = 5") == TrainRecipe(
        epochs=3, augmentation=Augmentation(rotation=5.0)
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("epoch = 3", "'epoch'"),
        ("epochs = 3.5", "TrainRecipe.epochs"),
        ("epochs = true", "TrainRecipe.epochs"),
        ('loss = "mse"', "TrainRecipe.loss"),
        ("size = [64]", "TrainRecipe.size"),
        ("size = [60, 64]", "48 or 64"),
        ("batch_size = 0", "batch_size"),
        ("learning_rate = -1.0", "learning_rate"),
        ("learning_rate = nan", "learning_rate"),
        ("seed = -1", "seed"),
        ("base_width = 0", "base_width"),
        ("channels = 2", "2 image channels"),
        ('class_names = ["one"]', "at least two"),
        ('labels = 3\nclass_names = ["background", "a"]', "2 class names for 3 labels"),
        ("[augmentation]\nspin = 1", "'spin'"),
        ("epochs =", "TOML"),
    ],
)
def test_what_cannot_be_is_named(text: str, named: str) -> None:
    with pytest.raises(ConfigError, match=r"my\.toml") as caught:
        parse_recipe(text, "my.toml")
    assert named in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml"):
        read_train_recipe(tmp_path / "absent.toml")


def test_difference_names_the_first_option() -> None:
    assert first_difference(TrainRecipe(), TrainRecipe()) == ""
    assert first_difference(TrainRecipe(epochs=10), TrainRecipe(epochs=20)) == "epochs = 10, not 20"
    turned = TrainRecipe(augmentation=Augmentation(rotation=1.0))
    assert first_difference(TrainRecipe(), turned) == "augmentation.rotation = 15.0, not 1.0"
    assert first_difference(TrainRecipe(), TrainRecipe(augmentation=None)).startswith("augmentation = ")


def test_two_labels_make_a_sigmoid_and_more_a_softmax() -> None:
    assert [TrainRecipe(labels=n).model_config().classes for n in (2, 3, 4)] == [1, 3, 4]
