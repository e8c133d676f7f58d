"""From a data folder and a recipe to what `train` takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

from u3p_edge.data.folder import Dataset
from u3p_edge.data.images import read_native
from u3p_edge.data.load import Arrays, infer_labels, load
from u3p_edge.errors import ConfigError
from u3p_edge.training.recipe import TrainRecipe


@dataclass(frozen=True)
class TrainData:
    """The three splits; `test` may be missing and is only scored."""

    train: Arrays
    validation: Arrays
    test: Arrays | None = None


def complete(recipe: TrainRecipe, dataset: Dataset) -> TrainRecipe:
    """The recipe with `channels` and `labels` taken from the images where they were left open.

    Raises:
        ConfigError: class names and labels of different number. DataError: a file that cannot be read.
    """
    channels = recipe.channels or read_native(dataset.split("train")[0].image).shape[2]
    labels = recipe.labels or infer_labels(dataset)
    if recipe.class_names and len(recipe.class_names) != labels:
        raise ConfigError(
            f"{len(recipe.class_names)} class names were given, but the masks in {dataset.root / 'masks'} have {labels} labels",
            mend="Give one name a label, background first; or the number of labels, if not all are in these masks.",
        )
    return dataclasses.replace(recipe, channels=channels, labels=labels)


def load_data(recipe: TrainRecipe, dataset: Dataset, advance: Callable[[], object] = lambda: None) -> TrainData:
    """Read and preprocess all splits; the recipe is complete. Raises DataError that names the file or the empty split."""

    def read(split: str) -> Arrays:
        return load(dataset.split(split), recipe.preprocessing(), recipe.metadata().labels, advance)

    return TrainData(read("train"), read("val"), read("test") if dataset.count("test") else None)
