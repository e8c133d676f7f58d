"""`u3p-edge train`: a UNet 3+ from a folder of images and masks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from u3p_edge.cli.terminal import print_table, say
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.errors import ConfigError

if TYPE_CHECKING:
    from u3p_edge.data.folder import Dataset
    from u3p_edge.training.loop import TrainResult
    from u3p_edge.training.recipe import TrainRecipe
    from u3p_edge.training.state import RunState

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it: 128 + SIGINT."""


def train(
    folder: Annotated[Path, typer.Argument(help="Data folder: images/, masks/ and perhaps split.csv.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; one that was interrupted is gone on with.")],
    recipe: Annotated[
        Path | None, typer.Option(help="TOML file of options, e.g. RUN/recipe.toml; the options given here go before it.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="Network: paper or article. (default: paper)")] = None,
    width: Annotated[
        int | None, typer.Option(min=1, help="Channels of the first scale; twice as many cost four times. (default: 16)")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Network's input in pixels, multiples of 16. (default: 256x256)")
    ] = None,
    fit: Annotated[
        str | None, typer.Option(help="How images get that size: resize or pad (and crop). (default: resize)")
    ] = None,
    normalize: Annotated[
        str | None, typer.Option(help="Intensities: percentile, zscore, range, none or meanstd. (default: percentile)")
    ] = None,
    mean: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help="For --normalize meanstd: one number a channel, in raw pixel values (0 to 255 if 8-bit)."
        ),
    ] = None,
    std: Annotated[str | None, typer.Option(metavar="A,B,...", help="For --normalize meanstd: as --mean.")] = None,
    labels: Annotated[
        int | None, typer.Option(min=2, max=255, help="Number of classes with background; found in the masks if not given.")
    ] = None,
    class_names: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Names of the classes, background first, separated by commas.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most. (default: 60)")] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, help="Stop after so many epochs without a better Dice; 0 for never. (default: 20)")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Images a step. (default: 8)")] = None,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate. (default: 0.001)")] = None,
    loss: Annotated[
        str | None,
        typer.Option(help="dice_ce (Dice + cross-entropy) or hybrid (focal + MS-SSIM + IoU, the paper's). (default: dice_ce)"),
    ] = None,
    deep_supervision: Annotated[
        bool | None, typer.Option("--deep-supervision/--no-deep-supervision", help="A loss at every scale. (default: on)")
    ] = None,
    cgm: Annotated[
        bool | None,
        typer.Option("--cgm/--no-cgm", help="Learn which classes are in an image at all, and gate by it. (default: off)"),
    ] = None,
    augment: Annotated[
        bool | None, typer.Option("--augment/--no-augment", help="Vary the training images at random. (default: on)")
    ] = None,
    flip_horizontal: Annotated[
        bool | None,
        typer.Option(
            "--flip-horizontal/--no-flip-horizontal",
            help="Mirror images left to right at random; not where that makes one class another. (default: on)",
        ),
    ] = None,
    flip_vertical: Annotated[
        bool | None,
        typer.Option("--flip-vertical/--no-flip-vertical", help="Mirror them upside down at random. (default: on)"),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of weights, order, augmentation and a drawn split. (default: 0)")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column of split.csv that is never split across sets. (default: patient or the like)")
    ] = None,
    ignore_label: Annotated[
        int | None, typer.Option(min=0, help="Value of mask pixels that count neither in training nor in scores, e.g. 255.")
    ] = None,
    label_map: Annotated[
        str | None, typer.Option("--map", metavar="VALUE:CLASS,...", help="Classes of mask values, e.g. 1:0,2:1; others stay.")
    ] = None,
    max_pixels: Annotated[int, typer.Option(min=1, help="Height x width that an image may have.")] = MAX_PIXELS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and do nothing.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Drop the run that lies in --out and begin anew.")] = False,
) -> None:
    """Train a UNet 3+ on your images and masks.

    It runs on a GPU that TensorFlow can use, and says so; CUDA_VISIBLE_DEVICES=-1 keeps it on the CPU.

    The best epoch by validation Dice is kept in RUN, with the recipe, the scores and a TensorBoard log (RUN/tb). Ctrl-C is
    safe at any moment: the same command goes on after the last finished epoch, to the same result.

    What would it cost on this machine:

        u3p-edge train scans --out run --size 192x224 --dry-run

    A small network for a device, with names for its classes:

        u3p-edge train scans --out run --size 192x224 --width 8 --class-names background,liver,tumour

    The paper's network and loss; the gate keeps empty images empty:

        u3p-edge train scans --out run --width 64 --size 320x320 --loss hybrid --cgm --batch 2

    Then make it an integer model:

        u3p-edge export run --int8 --data scans
    """
    from u3p_edge.cli.numbers import numbers
    from u3p_edge.data.folder import open_folder
    from u3p_edge.data.labels import parse_mapping

    given = {
        "preset": preset, "base_width": width, "size": _size(size), "fit": fit, "normalization": normalize,
        "mean": None if mean is None else numbers(mean, "--mean"), "std": None if std is None else numbers(std, "--std"),
        "labels": labels,
        "class_names": _names(class_names), "epochs": epochs, "patience": patience, "batch_size": batch, "learning_rate": lr,
        "loss": loss, "deep_supervision": deep_supervision, "cgm": cgm, "seed": seed,
        "group_column": group, "ignore_label": ignore_label,
        "label_map": None if label_map is None else parse_mapping(label_map),
    }  # fmt: skip
    flips = {"flip_horizontal": flip_horizontal, "flip_vertical": flip_vertical}
    chosen = choose(recipe, {name: value for name, value in given.items() if value is not None}, augment, flips)
    dataset = open_folder(folder, dataclasses.replace(chosen.data_options(), max_pixels=max_pixels))
    for note in dataset.notes:
        say(f"Note: {note}")
    try:
        if dry_run:
            _estimate(chosen, dataset)
        else:
            _report(_train(chosen, dataset, out, restart=restart), folder)
    except KeyboardInterrupt:
        say(_how_to_go_on(out, dry_run=dry_run))
        raise typer.Exit(INTERRUPTED) from None


def choose(
    path: Path | None, given: Mapping[str, Any], augment: bool | None, flips: Mapping[str, bool | None] = MappingProxyType({})
) -> TrainRecipe:
    """The recipe of the file (or the default one), with what was given instead.

    Raises:
        ConfigError: a value that cannot be, or a flip where images do not vary at all.
    """
    from u3p_edge.config.plain import from_dict
    from u3p_edge.data.augment import Augmentation
    from u3p_edge.training.recipe import TrainRecipe, read_train_recipe

    start = read_train_recipe(path) if path else TrainRecipe()
    kept = dataclasses.asdict(start)
    if augment is not None:
        kept["augmentation"] = dataclasses.asdict(start.augmentation or Augmentation()) if augment else None
    chosen_flips = {name: value for name, value in flips.items() if value is not None}
    if chosen_flips and kept["augmentation"] is None:
        option = next(iter(chosen_flips)).replace("_", "-")
        raise ConfigError(f"--{option} says how images vary, and they do not vary", mend="Add --augment, or leave it out.")
    if chosen_flips:
        kept["augmentation"] = {**kept["augmentation"], **chosen_flips}
    return from_dict(TrainRecipe, {**kept, **given})


def _train(recipe: TrainRecipe, dataset: Dataset, out: Path, *, restart: bool) -> TrainResult:
    from u3p_edge.cli.progress import stages
    from u3p_edge.training.output import check_output
    from u3p_edge.training.prepare import complete, data_notes, load_data

    check_output(out, restart=restart)
    recipe = complete(recipe, dataset)
    with stages() as progress:
        data = load_data(recipe, dataset, progress("Read images", len(dataset.samples)))
        for note in data_notes(recipe, data):
            progress.note(note)
        progress("Load TensorFlow", 0)
        from u3p_edge.training.loop import train as run_training

        return run_training(
            recipe, data, out, progress, restart=restart, on_epoch=lambda state: progress.print(_epoch_line(state))
        )


def _epoch_line(state: RunState) -> str:
    """The losses and scores of the last epoch."""
    record, recipe = state.history[-1], state.recipe
    scores = zip(recipe.metadata().class_names[1:], record.dice[1:], strict=True)
    each = "  ".join(f"{name} {'-' if dice is None else format(100 * dice, '.2f')}" for name, dice in scores)
    gate = "" if record.gate_accuracy is None else f"  gate {record.gate_accuracy:.3f}"
    losses = f"loss {record.train_loss:.4f}  validation {record.validation_loss:.4f}"
    dice = f"Dice {100 * record.mean_dice:.2f} ({each}){gate}"
    best = "  best" if state.best_epoch == state.epoch else ""
    return f"epoch {record.epoch:>3}/{recipe.epochs}  {losses}  {dice}  {record.seconds:.1f} s{best}"


def _estimate(recipe: TrainRecipe, dataset: Dataset) -> None:
    from u3p_edge.cli.progress import duration, stages
    from u3p_edge.data.memory import array_bytes, available_bytes, check_memory
    from u3p_edge.training.estimate import estimate
    from u3p_edge.training.prepare import complete, count_kept_inputs, size_notes

    recipe = complete(recipe, dataset)
    inputs = count_kept_inputs(recipe, dataset)
    check_memory(inputs, recipe.preprocessing())
    images, checks = (len(dataset.split(name)) for name in ("train", "val"))
    with stages() as progress:
        progress("Time a step", 0)
        found = estimate(recipe, images, checks)
    (height, width), epochs = recipe.size, recipe.epochs
    say(
        f"{images} training, {checks} validation, {dataset.count('test')} test images of {height}x{width}x{recipe.channels}, "
        f"{recipe.labels} labels"
    )
    say(f"network   {found.parameters:,} parameters; exported {found.exported_parameters:,}, {found.gmac:.2f} GMAC an image")
    needed = array_bytes(inputs, recipe.preprocessing()) / 1e9
    say(f"memory    {needed:.2f} GB for the images, of {available_bytes() / 1e9:.1f} GB available")
    say(
        f"time      {found.step_seconds:.2f} s a step of {min(recipe.batch_size, images)}, "
        f"{duration(found.run_seconds / epochs)} an epoch, at most {duration(found.run_seconds)} for {epochs} epochs"
    )
    for note in size_notes(recipe, dataset):
        say(f"Note: {note}")


def _report(result: TrainResult, folder: Path) -> None:
    rows = [
        [name, str(scores["images"]), f"{100 * scores['mean_dice']:.2f}", f"{100 * scores['mean_iou']:.2f}"]
        for name in ("validation", "test")
        if isinstance(scores := result.scores.get(name), dict)
    ]
    title = f"Best epoch: {result.state.best_epoch}; scores in points, pooled by group and averaged over groups"
    print_table(["split", "images", "mean Dice", "mean IoU"], rows, title=title)
    run = result.folder
    say(f"The model lies in {run}. Next: u3p-edge export {run} --int8 --data {folder}")


def _how_to_go_on(out: Path, *, dry_run: bool) -> str:
    from u3p_edge.training.checkpoint import load_checkpoint

    found = None if dry_run else load_checkpoint(out)
    if found is None:
        return "Stopped; nothing was written yet." if dry_run else "Stopped before the end of the first epoch."
    return f"Stopped. {out} is safe after epoch {found.state.epoch}: run the same command again to go on from there."


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    # Only plain digits, and few of them: "²" is a digit too, and Python refuses to read thousands.
    if not all(part.isascii() and part.isdigit() and len(part) <= 6 for part in (height, width)):
        raise ConfigError(f"--size {text!r} is not HEIGHTxWIDTH", mend="Give for example --size 192x224.")
    return int(height), int(width)


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(","))
