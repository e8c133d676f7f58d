"""Train a UNet 3+ from a folder of images and masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from u3p_edge.config.plain import from_dict
from u3p_edge.data.array_cache import check_room
from u3p_edge.data.augmentation import Augmentation
from u3p_edge.data.folder import Dataset, open_folder
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.data.memory import allowed_bytes, array_bytes
from u3p_edge.errors import ConfigError, require_packages
from u3p_edge.progress import Progress, silent
from u3p_edge.training.output import check_output
from u3p_edge.training.prepare import complete, count_kept_inputs, data_notes, load_data, size_notes
from u3p_edge.training.recipe import TrainRecipe, read_train_recipe
from u3p_edge.training.state import RunState

if TYPE_CHECKING:
    from u3p_edge.training.estimate import Estimate
    from u3p_edge.training.loop import TrainResult

FLIPS = ("flip_horizontal", "flip_vertical")


@dataclass(frozen=True)
class TrainPlan:
    """What a training would cost.

    Args:
        recipe: with channels and labels taken from the data.
        images: number of images of each split.
        estimate: of the network's size and of the time.
        needed_bytes: of all images as they are kept.
        allowed_bytes: of memory; splits that need more are kept on disk.
        notes: what a user should know of the data, one sentence each.
    """

    recipe: TrainRecipe
    images: Mapping[str, int]
    estimate: Estimate
    needed_bytes: int
    allowed_bytes: int
    notes: tuple[str, ...]


def build_train_recipe(
    recipe: str | Path | TrainRecipe | None = None, *, augment: bool | None = None, **options: Any
) -> TrainRecipe:
    """Return a training's recipe with options put over it.

    >>> recipe = build_train_recipe(base_width=8, flip_horizontal=False)
    >>> recipe.base_width, recipe.augmentation.flip_horizontal
    (8, False)

    Args:
        recipe: a TOML file, a recipe, or None for the defaults.
        augment: vary the training images at random, or do not.
        options: fields of `TrainRecipe`, and `flip_horizontal` and `flip_vertical`; None is what the recipe says.

    Raises:
        ConfigError: no such option, a value that cannot be, or a flip where images do not vary at all.
    """
    start = recipe if isinstance(recipe, TrainRecipe) else read_train_recipe(Path(recipe)) if recipe else TrainRecipe()
    given = {key: value for key, value in options.items() if value is not None}
    values = dataclasses.asdict(start)
    if augment is not None:
        values["augmentation"] = dataclasses.asdict(start.augmentation or Augmentation()) if augment else None
    flips = {name: given.pop(name) for name in FLIPS if name in given}
    if flips and values["augmentation"] is None:
        flag = "--" + next(iter(flips)).replace("_", "-")
        raise ConfigError(f"{flag} says how images vary, and they do not vary", mend="Add --augment, or leave it out.")
    if flips:
        values["augmentation"] = {**values["augmentation"], **flips}
    return from_dict(TrainRecipe, {**values, **given})


@require_packages("training")
def train(
    data: str | Path,
    out: str | Path,
    recipe: str | Path | TrainRecipe | None = None,
    *,
    restart: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
    on_epoch: Callable[[RunState], object] = lambda _state: None,
    **options: Any,
) -> TrainResult:
    """Train a UNet 3+ on a folder of images and masks, or continue the run in `out`.

    Args:
        data: the folder: images/, masks/ and perhaps split.csv.
        out: run folder; after every epoch it holds the best model so far and a checkpoint.
        recipe: a recipe, or a TOML file of one; None for the defaults.
        restart: drop the run in `out`, and begin anew.
        max_pixels: height x width that an image or mask may have.
        progress: shows the stages, and notes what a user should know of the data.
        on_epoch: called with the run's state after each epoch, when it is safe on disk.
        options: put over the recipe, see `build_train_recipe`, for example `base_width=8, epochs=40, augment=False`.

    Raises:
        ConfigError: the recipe does not fit the data, or `out` holds a run of another recipe or data.
        DataError: data that cannot be read, or no foreground. ModelError: the loss is not finite.
        ArtifactError: `out` cannot be written, or holds files of other origin.
    """
    folder = Path(out)
    chosen, dataset = _open(Path(data), build_train_recipe(recipe, **options), max_pixels, progress)
    check_output(folder, restart=restart)
    chosen = complete(chosen, dataset)
    read = load_data(chosen, dataset, progress("Read images", len(dataset.samples)))
    for note in data_notes(chosen, read):
        progress.note(note)
    progress("Load TensorFlow", 0)
    from u3p_edge.training.loop import train as train_on

    return train_on(chosen, read, folder, progress, restart=restart, on_epoch=on_epoch)


def plan_training(folder: Path, recipe: TrainRecipe, *, max_pixels: int = MAX_PIXELS, progress: Progress = silent) -> TrainPlan:
    """Estimate what `train` would cost on this machine; writes nothing. Arguments and errors as `train`."""
    recipe, dataset = _open(folder, recipe, max_pixels, progress)
    recipe = complete(recipe, dataset)
    inputs = count_kept_inputs(recipe, dataset)
    check_room(inputs, recipe.preprocessing())
    progress("Time a step", 0)
    from u3p_edge.training.estimate import estimate

    images = {split: dataset.count(split) for split in ("train", "val", "test")}
    return TrainPlan(
        recipe=recipe,
        images=images,
        estimate=estimate(recipe, images["train"], images["val"]),
        needed_bytes=array_bytes(inputs, recipe.preprocessing()),
        allowed_bytes=allowed_bytes(),
        notes=size_notes(recipe, dataset),
    )


def _open(folder: Path, recipe: TrainRecipe, max_pixels: int, progress: Progress) -> tuple[TrainRecipe, Dataset]:
    if recipe.backbone_weights and not Path(recipe.backbone_weights).is_file():
        mend = "No weights are fetched; give the path of a file."
        raise ConfigError(f"backbone_weights: there is no file {recipe.backbone_weights}", mend=mend)
    dataset = open_folder(folder, dataclasses.replace(recipe.data_options(), max_pixels=max_pixels))
    for note in dataset.notes:
        progress.note(note)
    return recipe, dataset
