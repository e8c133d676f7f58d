"""`u3p-edge export`: a float UNet 3+ to verified int8 TFLite and ONNX files."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from u3p_edge.cli.effect import refuse, typed_options
from u3p_edge.cli.terminal import print_list, say, say_note
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.recipes.named import DEFAULT, NAMES

if TYPE_CHECKING:
    from u3p_edge.cli.stage_times import StageTimes
    from u3p_edge.pipeline.export import ExportResult
    from u3p_edge.recipes.recipe import ExportRecipe, Format


class FitName(str, Enum):
    """How an image of another size is fitted."""

    RESIZE = "resize"
    PAD = "pad"


class NormalizationName(str, Enum):
    """How intensities are normalised."""

    PERCENTILE = "percentile"
    ZSCORE = "zscore"
    RANGE = "range"
    NONE = "none"
    MEANSTD = "meanstd"


def _recipe_names(incomplete: str) -> list[str]:
    """For a shell's completion."""
    return [name for name in NAMES if name.startswith(incomplete)]


def export(
    context: typer.Context,
    model: Annotated[
        Path | None,
        typer.Argument(help="Run folder of `u3p-edge train`, or a tf_keras .keras or .h5 file; none for the embedded model."),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8/--no-int8", help="Quantize to int8; otherwise float files alone.")] = False,
    data: Annotated[
        Path | None, typer.Option(help="Data folder (images/, masks/, split.csv); none for the embedded images.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Run folder to write; an interrupted export goes on there.")] = Path("u3p-export"),
    ptq: Annotated[bool, typer.Option("--ptq", help="Post-training quantization alone; never train.")] = False,
    qat_epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Quantization-aware training for so many epochs, even if post-training would do."),
    ] = None,
    recipe_name: Annotated[
        str,
        typer.Option(
            "--recipe",
            help="exact, balanced, small, or a TOML file; `u3p-edge recipes` shows them.",
            show_default=True,
            autocompletion=_recipe_names,
        ),
    ] = DEFAULT,
    max_drop: Annotated[
        float | None,
        typer.Option(min=0, help="Points of validation Dice that the int8 network may lose. [default: the recipe's]"),
    ] = None,
    speedup: Annotated[
        float | None, typer.Option(help="Prune until int8 is so many times as fast as the float32 TFLite file.")
    ] = None,
    latency_budget_ms: Annotated[
        float | None, typer.Option(help="Prune until the int8 TFLite file takes so many milliseconds, at one thread.")
    ] = None,
    size_budget_mb: Annotated[
        float | None, typer.Option(help="Prune until the int8 TFLite file has so many megabytes (10^6 bytes).")
    ] = None,
    shrink: Annotated[
        float | None, typer.Option(help="Prune until the int8 file is so many times smaller than the float32 file.")
    ] = None,
    device: Annotated[
        Path | None,
        typer.Option(help="Prune for another device: its table from `u3p-edge device profile`; with --latency-budget-ms."),
    ] = None,
    sparsity: Annotated[
        str | None,
        typer.Option(help="Share of small weights to set to zero, e.g. 0.5, or 2:4: for gzip size, not for speed."),
    ] = None,
    calibration_images: Annotated[int, typer.Option(min=1, help="Training images that measure the ranges.")] = 64,
    formats: Annotated[str, typer.Option(help="Comma-separated: tflite, onnx.")] = "tflite,onnx",
    float16: Annotated[bool, typer.Option("--float16", help="Also a TFLite file with float16 weights.")] = False,
    float_io: Annotated[bool, typer.Option("--float-io", help="Float32 input and output of the int8 files.")] = False,
    min_sqnr: Annotated[
        float, typer.Option(help="Signal to quantization noise in dB that an int8 file must reach, or the export fails.")
    ] = 10.0,
    rewrite: Annotated[
        bool,
        typer.Option("--rewrite/--no-rewrite", help="Compute the same function in the exact forms that time best."),
    ] = True,
    rewrites: Annotated[
        Path | None,
        typer.Option(help="Take these forms instead of timing them: rewrites.json or manifest.json of another export."),
    ] = None,
    strips: Annotated[
        int | None,
        typer.Option(min=1, help="Horizontal strips to compute the full-size maps in; 1 for whole maps. [default: by memory]"),
    ] = None,
    memory_budget_mb: Annotated[
        float | None, typer.Option(help="What the arena of activations may need, in MB, instead of a number of strips.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=5, help="Timed rounds, at 1 thread and at all.")] = 15,
    fit: Annotated[FitName, typer.Option(help="For a Keras file: resize images, or pad and crop.")] = FitName.RESIZE,
    normalize: Annotated[
        NormalizationName, typer.Option(help="For a Keras file: the normalisation that it was trained with.")
    ] = NormalizationName.PERCENTILE,
    mean: Annotated[
        str, typer.Option(help="For --normalize meanstd: one number a channel, comma-separated, in raw pixel values.")
    ] = "",
    std: Annotated[str, typer.Option(help="For --normalize meanstd: as --mean.")] = "",
    class_names: Annotated[str, typer.Option(help="For a Keras file: comma-separated, background first.")] = "",
    group: Annotated[
        str | None, typer.Option(help="Column of split.csv that is never split across sets. [default: as in training]")
    ] = None,
    ignore_label: Annotated[
        int | None,
        typer.Option(
            min=0, help="Value of mask pixels that count neither in training nor in scores, e.g. 255. [default: as in training]"
        ),
    ] = None,
    label_map: Annotated[
        str | None,
        typer.Option(
            "--map",
            metavar="VALUE:CLASS,...",
            help="Classes of mask values, e.g. 1:0,2:1; others stay. [default: as in training]",
        ),
    ] = None,
    max_pixels: Annotated[int, typer.Option(min=1, help="Height x width that an image may have.")] = MAX_PIXELS,
    seed: Annotated[int, typer.Option(min=0, help="Of quantization-aware training.")] = 0,
    mask: Annotated[
        str,
        typer.Option(metavar="OUTPUT", help="Name of the output that is the mask, where that does not follow from the model."),
    ] = "",
    trust: Annotated[bool, typer.Option("--trust", help="Run code that the Keras file holds.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Export again even if the run folder holds the same export.")] = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="Export a Keras file although it does not work on the data as it is normalised.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check model and data, say what would be done, and stop.")] = False,
) -> None:
    """Export a model: convert, quantize, verify on real images, measure, report.

    Writes model.float32.tflite, model.int8.tflite, model.float32.onnx, model.int8.onnx, reference.float32.tflite (the
    model as it came), report.md, report.json, samples.png, pareto.svg, pruning.json, quantization.json, rewrites.json and
    manifest.json. With --int8 the recipe drops channels, which trains for minutes; --recipe exact drops none. Exit code 1:
    verification failed, or a file could not be made (the others are kept); 2: bad input.

    Everything runs on the CPU, as the files will; with CUDA_VISIBLE_DEVICES=0 in the environment, training takes that GPU.

        u3p-edge export --int8
        u3p-edge export RUN --int8 --data FOLDER --out exported
        u3p-edge export RUN --int8 --data FOLDER --recipe exact
        u3p-edge export RUN --int8 --data FOLDER --speedup 20 --max-drop 0.3
        u3p-edge export model.keras --int8 --data FOLDER --qat-epochs 8
    """
    from u3p_edge.cli.budgets import Budgets, export_options
    from u3p_edge.cli.numbers import numbers
    from u3p_edge.data.labels import parse_mapping
    from u3p_edge.recipes.recipe import ExportRecipe

    budgets = Budgets(max_drop, speedup, latency_budget_ms, size_budget_mb, shrink, strips, qat_epochs, sparsity)
    recipe = ExportRecipe(
        int8=int8,
        method="ptq" if ptq else "auto" if qat_epochs is None else "qat",
        **export_options(recipe_name, budgets, int8=int8),
        calibration_images=calibration_images,
        formats=_formats(formats),
        float16=float16,
        float_io=float_io,
        min_sqnr=min_sqnr,
        rewrite=rewrite,
        rewrites=_pairs(rewrites),
        memory_budget_mb=memory_budget_mb,
        rounds=rounds,
        seed=seed,
        trust=trust,
        mask=mask,
        fit=fit.value,
        normalization=normalize.value,
        mean=numbers(mean, "--mean"),
        std=numbers(std, "--std"),
        class_names=tuple(name.strip() for name in class_names.split(",") if name.strip()),
        group_column=group,
        ignore_label=ignore_label,
        label_map=parse_mapping(label_map or ""),
    )
    _check(model, data, out, ptq, qat_epochs)
    _check_effect(context, model, recipe_name, int8)
    _check_device(device, recipe)
    if dry_run:
        from u3p_edge.cli.export_plan import explain

        explain(model, data, recipe, max_pixels, _times(model, data, recipe, device))
        return
    _run(model, data, out, recipe, device, force, accept, max_pixels)


def _run(
    model: Path | None,
    data: Path | None,
    out: Path,
    recipe: ExportRecipe,
    device: Path | None,
    force: bool,
    accept: bool,
    max_pixels: int,
) -> None:
    from u3p_edge.cli.bench import command_line
    from u3p_edge.cli.progress import stages

    with stages(times=_times(model, data, recipe, device)) as progress:
        progress("Load TensorFlow", 0)
        from u3p_edge.pipeline.export import export as run_export

        command = command_line(sys.argv)
        done = run_export(
            model,
            data,
            out,
            recipe,
            progress=progress,
            device=device,
            command=command,
            force=force,
            accept=accept,
            max_pixels=max_pixels,
        )
    _show(done)
    if done.failures:
        # The notes above name the layers; this is what a log shows last.
        print(f"u3p-edge: {len(done.failures)} of the files could not be made", file=sys.stderr)
        raise typer.Exit(1)


def _times(model: Path | None, data: Path | None, recipe: ExportRecipe, device: Path | None) -> StageTimes:
    """How long this export took before, on this machine."""
    from u3p_edge import __version__
    from u3p_edge.cli.stage_times import read_stage_times
    from u3p_edge.latency.cache import default_folder

    paths = (str(path and path.resolve()) for path in (model, data, device))
    return read_stage_times(default_folder(), __version__, "export", *paths, recipe.to_json())


def _pairs(path: Path | None) -> tuple[tuple[str, str], ...]:
    """The recorded (site, form) pairs of a file; none without one."""
    from u3p_edge.errors import ConfigError
    from u3p_edge.pipeline.choices import read_choices

    if path is None:
        return ()
    found = tuple((choice.site, choice.chosen) for choice in read_choices(path))
    if not found:
        # Taken for no file at all, it would be timed after all.
        raise ConfigError(f"{path} has an empty list of rewrites", mend="Leave --rewrites out, or use --no-rewrite.")
    return found


def _formats(text: str) -> tuple[Format, ...]:
    """The formats named, in our order."""
    from u3p_edge.errors import ConfigError
    from u3p_edge.recipes.recipe import FORMATS

    names = {name.strip() for name in text.split(",") if name.strip()}
    unknown = sorted(names - set(FORMATS))
    if unknown:
        raise ConfigError(f"--formats: {unknown[0]!r} is not known", mend=f"It is {','.join(FORMATS)} or one of them.")
    return tuple(name for name in FORMATS if name in names)


def _check(model: Path | None, data: Path | None, out: Path, ptq: bool, qat_epochs: int | None) -> None:
    """What can be told to be wrong before TensorFlow is loaded."""
    from u3p_edge.errors import ConfigError, DataError, ModelError
    from u3p_edge.run_folder import check_folder

    if ptq and qat_epochs is not None:
        raise ConfigError("--ptq and --qat-epochs exclude each other", mend="Give one of them, or neither.")
    if model is not None and not model.exists():
        raise ModelError(f"the model {model} does not exist")
    if data is not None and not data.is_dir():
        raise DataError(f"the data folder {data} does not exist")
    check_folder(out)


KERAS_ALONE = ("fit", "normalize", "mean", "std", "class_names", "trust", "accept")
INT8_ALONE = ("ptq", "qat_epochs", "max_drop", "calibration_images", "float_io", "min_sqnr")
BUDGETS = ("speedup", "latency_budget_ms", "size_budget_mb", "shrink")


def _check_effect(context: typer.Context, model: Path | None, recipe_name: str, int8: bool) -> None:
    """Refuse options that would change nothing, and say where one goes before the recipe."""
    from u3p_edge.recipes.named import read_export_recipe

    if model is None or model.is_dir():
        known = "the embedded model" if model is None else f"the run folder {model}"
        refuse(context, KERAS_ALONE, f"is for a Keras file, and {known} says that itself", "Leave it out.")
    if not int8:
        refuse(context, INT8_ALONE, "is for int8 files, and no int8 was asked for", "Add --int8.")
    budgets = typed_options(context, BUDGETS)
    if budgets and typed_options(context, ("recipe_name",)) and read_export_recipe(recipe_name).pruning is None:
        say_note(f"{budgets[0]} drops channels, though the recipe {recipe_name} by itself drops none.")


def _check_device(device: Path | None, recipe: ExportRecipe) -> None:
    from u3p_edge.errors import ArtifactError, ConfigError
    from u3p_edge.recipes.recipe import check_device

    if device is None:
        return
    if not device.is_file():
        raise ArtifactError(f"{device} does not exist", mend="Write it with `u3p-edge device profile` on the device.")
    if recipe.pruning is None:
        raise ConfigError(
            "a device's table says what to prune, and nothing is pruned", mend="Give --latency-budget-ms, or no --device."
        )
    check_device(recipe.pruning)


def _show(done: ExportResult) -> None:
    """The summary table, how the files came about, and where they are."""
    from u3p_edge.cli.bench import show

    show(done.result)
    print_list(done.notes)
    if done.reused:
        say("The run folder held this very export already; --force does it again.")
    say(f"Report: {done.run / 'report.md'}")
