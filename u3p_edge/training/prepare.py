"""Prepare the data and the recipe that `train` takes, from a data folder."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np

from u3p_edge.config.metadata import Axis
from u3p_edge.data.array_cache import check_room
from u3p_edge.data.decode import picture_size
from u3p_edge.data.description import read_class_names
from u3p_edge.data.fit_notes import check_foreground, fit_notes, shrink_notes
from u3p_edge.data.folder import Dataset
from u3p_edge.data.images import read_native
from u3p_edge.data.load import Arrays, count_inputs, infer_labels, load_samples
from u3p_edge.data.orientation import check_turned
from u3p_edge.data.stacks import check_splits
from u3p_edge.data.volumes import SOURCE_FILE, read_axis
from u3p_edge.errors import ConfigError
from u3p_edge.progress import Step, idle
from u3p_edge.training.recipe import TrainRecipe


@dataclass(frozen=True)
class TrainData:
    """The three splits of a data set; `test` may be missing and is only scored."""

    train: Arrays
    validation: Arrays
    test: Arrays | None = None


def complete(recipe: TrainRecipe, dataset: Dataset) -> TrainRecipe:
    """Return the recipe with what was left open, from the data: `channels`, labels and their names, `axis`, `normalization`.

    Names that the folder records are those of its masks as they are stored, so they do not count where `--map` renames classes.

    Raises:
        ConfigError: there are more or fewer class names than labels, a backbone's weights are for images of another kind, or
            the folder's slices are of another axis, or in colour where the network takes several.
        DataError: a file cannot be read; or as `stacks.check_splits`.
    """
    first = dataset.split("train")[0]
    image = read_native(first.image, first.options.max_pixels)
    channels = recipe.channels or image.shape[2]
    if recipe.slices > 1 and channels == 3:
        raise ConfigError(
            f"{first.image} is in colour, and the channels of --slices {recipe.slices} are grey slices",
            mend="Give --channels 1: colours become grey.",
        )
    check_splits(dataset.samples, recipe.slices)
    if recipe.normalized_for_backbone and image.dtype != np.uint8:
        raise ConfigError(
            f"the weights of {recipe.backbone} are for 8-bit images, and {first.image} has {image.dtype}",
            mend="Say how intensities are normalised, for example --normalize percentile.",
        )
    described = () if recipe.class_names or recipe.label_map else read_class_names(dataset.root)
    labels = recipe.labels or (len(described) if len(described) > 1 else infer_labels(dataset))
    if recipe.class_names and len(recipe.class_names) != labels:
        raise ConfigError(
            f"{len(recipe.class_names)} class names were given, but the masks in {dataset.root / 'masks'} have {labels} labels",
            mend="Give one name for each label, background first; or the number of labels, if not all are in these masks.",
        )
    names = described if len(described) == labels else recipe.class_names
    axis, multi_label = _choose_axis(recipe, dataset), first.options.rule.multi_label and labels > 2
    whole = dataclasses.replace(recipe, channels=channels, labels=labels, class_names=names, multi_label=multi_label, axis=axis)
    known = whole.preprocessing()
    return dataclasses.replace(whole, normalization=known.normalization, mean=known.mean, std=known.std)


def _choose_axis(recipe: TrainRecipe, dataset: Dataset) -> Axis | None:
    recorded = read_axis(dataset.root)
    if None not in (recorded, recipe.axis) and recipe.axis != recorded:
        raise ConfigError(
            f"{dataset.root / SOURCE_FILE} says that the images are {recorded} slices, not {recipe.axis} ones",
            mend="Leave --axis out.",
        )
    return recipe.axis or recorded


def load_data(recipe: TrainRecipe, dataset: Dataset, step: Step = idle) -> TrainData:
    """Read and preprocess all splits.

    Args:
        recipe: complete.
        dataset: with a train, a validation and perhaps a test split. Test images larger than the network are scored whole.
        step: called after each image.

    Raises:
        DataError: a file cannot be read or a split is empty (the message names it), the images fit neither into memory nor on
            the disk, or cropping leaves no foreground.
    """
    check_room(count_kept_inputs(recipe, dataset), recipe.preprocessing())
    check_turned(dataset.samples)

    def read(split: str) -> Arrays:
        whole, metadata = split == "test", recipe.metadata()
        return load_samples(
            dataset.split(split),
            metadata.preprocessing,
            metadata.labels,
            step,
            tiled=whole,
            multi_label=metadata.multi_label,
        )

    train, validation = read("train"), read("val")
    for arrays in (train, validation):
        check_foreground(arrays.originals, recipe.preprocessing())
    return TrainData(train, validation, read("test") if dataset.count("test") else None)


def count_kept_inputs(recipe: TrainRecipe, dataset: Dataset) -> int:
    """Count the network inputs that `load_data` keeps."""
    test = dataset.split("test") if dataset.count("test") else ()
    seen = len(dataset.split("train")) + len(dataset.split("val"))
    return seen + count_inputs(test, recipe.preprocessing(), tiled=True)


def size_notes(recipe: TrainRecipe, dataset: Dataset) -> tuple[str, ...]:
    """Return sentences on what resizing the images will lose, from their sizes alone; no image is decoded."""
    return shrink_notes((picture_size(s.image) for s in dataset.samples), recipe.preprocessing())


def data_notes(recipe: TrainRecipe, data: TrainData) -> tuple[str, ...]:
    """Return sentences on what fitting the images to the network lost."""
    test = () if data.test is None else data.test.originals
    return fit_notes((*data.train.originals, *data.validation.originals, *test), recipe.preprocessing())
