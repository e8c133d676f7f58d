"""`u3p-edge train`: a UNet 3+ from a folder of images and masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from u3p_edge.cli.recipe_options import parse_options, takes_options
from u3p_edge.cli.terminal import print_table, say
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.training.recipe import OPTIONS

if TYPE_CHECKING:
    from u3p_edge.pipeline.train import TrainPlan
    from u3p_edge.training.loop import TrainResult
    from u3p_edge.training.state import RunState

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it: 128 + SIGINT."""


@takes_options(OPTIONS)
def train(
    folder: Annotated[Path, typer.Argument(help="Data folder: images/, masks/ and perhaps split.csv.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Run folder; one that was interrupted is gone on with.")],
    recipe: Annotated[
        Path | None, typer.Option(help="TOML file of options, e.g. RUN/recipe.toml; the options given here go before it.")
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
    max_pixels: Annotated[int, typer.Option(min=1, help="Height x width that an image may have.")] = MAX_PIXELS,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost, and do nothing.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Drop the run that lies in --out and begin anew.")] = False,
    **options: Any,
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
    from u3p_edge.cli.progress import stages
    from u3p_edge.pipeline import train as pipeline

    flips = {"flip_horizontal": flip_horizontal, "flip_vertical": flip_vertical}
    chosen = pipeline.build_train_recipe(recipe, augment=augment, **flips, **parse_options(OPTIONS, options))
    try:
        with stages() as progress:
            if dry_run:
                plan = pipeline.plan_training(folder, chosen, max_pixels=max_pixels, progress=progress)
            else:
                result = pipeline.train(
                    folder, out, chosen, restart=restart, max_pixels=max_pixels, progress=progress,
                    on_epoch=lambda state: progress.print(_epoch_line(state)),
                )  # fmt: skip
    except KeyboardInterrupt:
        say(_how_to_go_on(out, dry_run=dry_run))
        raise typer.Exit(INTERRUPTED) from None
    if dry_run:
        _show_plan(plan)
    else:
        _show_result(result, folder)


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


def _show_plan(plan: TrainPlan) -> None:
    from u3p_edge.cli.image_memory import describe_memory
    from u3p_edge.cli.progress import duration

    recipe, estimate, (height, width) = plan.recipe, plan.estimate, plan.recipe.size
    train, val, test = (plan.images[split] for split in ("train", "val", "test"))
    shape = f"{height}x{width}x{recipe.preprocessing().channels}"
    labels = f"{recipe.labels} labels{', which may overlap' if recipe.multi_label else ''}"
    say(f"{train} training, {val} validation, {test} test images of {shape}, {labels}")
    exported = f"exported {estimate.exported_parameters:,}, {estimate.gmac:.2f} GMAC an image"
    say(f"network   {estimate.parameters:,} parameters; {exported}")
    say(f"memory    {describe_memory(plan.needed_bytes, plan.allowed_bytes)}")
    say(
        f"time      {estimate.step_seconds:.2f} s a step of {min(recipe.batch_size, train)}, "
        f"{duration(estimate.run_seconds / recipe.epochs)} an epoch, at most {duration(estimate.run_seconds)} "
        f"for {recipe.epochs} epochs"
    )
    for note in plan.notes:
        say(f"Note: {note}")


def _show_result(result: TrainResult, folder: Path) -> None:
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

    checkpoint = None if dry_run else load_checkpoint(out)
    if checkpoint is None:
        return "Stopped; nothing was written yet." if dry_run else "Stopped before the end of the first epoch."
    return f"Stopped. {out} is safe after epoch {checkpoint.state.epoch}: run the same command again to go on from there."
