"""`u3p-edge export`: a float UNet 3+ to verified int8 TFLite and ONNX files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from u3p_edge.cli.effect import refuse, typed_options
from u3p_edge.cli.export_front import check_front, export_front
from u3p_edge.cli.panels import HelpAll, PanelCommand
from u3p_edge.cli.recipe_options import (
    BUDGETS_PANEL,
    FILES_PANEL,
    INT8_PANEL,
    PANELS,
    RUN_PANEL,
    panel_of,
    parse_options,
    takes_options,
)
from u3p_edge.cli.terminal import say, say_note
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.recipes.build import OPTIONS
from u3p_edge.recipes.named import DEFAULT, NAMES
from u3p_edge.recipes.recipe import BUDGETS, ExportRecipe

if TYPE_CHECKING:
    from u3p_edge.cli.stage_times import StageTimes
    from u3p_edge.pipeline.export import ExportResult
    from u3p_edge.pipeline.lock import Lock

FILES_ALONE = ("fit", "normalization", "mean", "std", "class_names", "size", "slices", "axis", "trust")
INT8_ALONE = (
    "ptq", "method", "qat_epochs", "qat_distillation", "max_drop", "require_shown", "calibration_images", "float_io",
    "min_sqnr",
)  # fmt: skip


class ExportCommand(PanelCommand):
    """`u3p-edge export`."""

    panels = PANELS
    common = frozenset(("int8", "data", "out", "recipe_name", "device", "dry_run", "max_drop", *BUDGETS[:3]))


def _recipe_names(incomplete: str) -> list[str]:
    """For a shell's completion."""
    return [name for name in NAMES if name.startswith(incomplete)]


@takes_options(OPTIONS, panel_of)
def export(
    context: typer.Context,
    model: Annotated[
        Path | None,
        typer.Argument(
            help="Run folder of `u3p-edge train` or `import`, a .keras, .h5 or float .onnx file; none for the embedded model."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Data folder (images/, masks/, split.csv); none for the embedded images.", rich_help_panel=FILES_PANEL
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(help="Run folder to write; an interrupted export goes on there.", rich_help_panel=FILES_PANEL)
    ] = Path("u3p-export"),
    recipe_name: Annotated[
        str,
        typer.Option(
            "--recipe",
            help="exact, balanced, small, or a TOML file (see `u3p-edge recipes show`); options override it.",
            show_default=True,
            autocompletion=_recipe_names,
            rich_help_panel=BUDGETS_PANEL,
        ),
    ] = DEFAULT,
    device: Annotated[
        Path | None,
        typer.Option(
            help="Prune for another device: its table from `u3p-edge device profile`; with --latency-budget-ms.",
            rich_help_panel=BUDGETS_PANEL,
        ),
    ] = None,
    locked: Annotated[
        Path | None,
        typer.Option(
            help="Replay export.lock.json of another export: its recipe and all its choices, and nothing is timed to choose.",
            rich_help_panel=FILES_PANEL,
        ),
    ] = None,
    pareto: Annotated[
        bool,
        typer.Option(
            "--pareto",
            help="Export a front of networks, from exact to the fastest that is still useful, each into its own folder; "
            "the budgets and --max-drop then pick one.",
            rich_help_panel=BUDGETS_PANEL,
        ),
    ] = False,
    ptq: Annotated[
        bool, typer.Option("--ptq", help="Short for --method ptq: never train.", rich_help_panel=INT8_PANEL)
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Check model and data, say what would be done, and stop.", rich_help_panel=RUN_PANEL),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Export again even if the run folder holds the same export.", rich_help_panel=RUN_PANEL),
    ] = False,
    accept: Annotated[
        bool,
        typer.Option(
            "--accept",
            help="Export a model of another program although it does not work on the data as it is normalised.",
            rich_help_panel=RUN_PANEL,
        ),
    ] = False,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run code that the Keras file holds.", rich_help_panel=RUN_PANEL)
    ] = False,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Height x width that an image may have.", rich_help_panel=RUN_PANEL)
    ] = MAX_PIXELS,
    _help_all: HelpAll = False,
    **options: Any,
) -> None:
    """Export a model: convert, quantize, verify on real images, measure, report.

    Writes model.float32.tflite, model.int8.tflite, model.float32.onnx, model.int8.onnx, reference.float32.tflite (the
    original model), report.md, report.html, report.json, samples.png, worst.png, pareto.svg, pruning.json,
    quantization.json, rewrites.json, export.lock.json and manifest.json. For int8 the recipe drops channels, which trains for
    minutes; the recipe exact drops none.

    With --locked it makes the choices of another export again: on the same kind of processor, with the same versions, the files
    have the same bytes, idle or busy; on another processor the choices are the same, and the bytes may differ.

    The first line of the report says whether the validation patients show that int8 loses at most --max-drop. Exit code 1:
    verification failed, or a file could not be made (the others are kept); 2: bad input. With --require-shown also 1: int8 is
    shown to lose more; 4: the patients do not decide.

    Everything runs on the CPU, as the files will; with CUDA_VISIBLE_DEVICES=0 in the environment, training takes that GPU.

        u3p-edge export --int8
        u3p-edge export RUN --int8 --data FOLDER --out exported
        u3p-edge export RUN --int8 --data FOLDER --recipe exact
        u3p-edge export RUN --int8 --data FOLDER --speedup 20 --max-drop 0.3
        u3p-edge export RUN --int8 --data FOLDER --pareto --max-drop 0.5
        u3p-edge export model.keras --int8 --data FOLDER --qat-epochs 8
        u3p-edge export model.onnx --int8 --data FOLDER --size 256x256
        u3p-edge export RUN --data FOLDER --locked exported/export.lock.json --out again
    """
    lock = _lock(locked, device)
    start = recipe_name if lock is None or typed_options(context, ("recipe_name",)) else lock.options
    recipe = _recipe(start, options, ptq=ptq, lock=lock)
    _check_paths(model, data, out)
    _check_effect(context, model, recipe_name, recipe)
    _check_device(device, recipe)
    if pareto:
        check_front(context, recipe)
    times = _times(model, data, recipe, device)
    if dry_run:
        from u3p_edge.cli.export_plan import show_plan
        from u3p_edge.cli.progress import stages
        from u3p_edge.pipeline.plan import plan_export

        with stages() as progress:
            plan = plan_export(model, data, recipe, lock=lock, trust=trust, max_pixels=max_pixels, progress=progress)
        show_plan(plan, recipe, times, pareto=pareto)
        return
    arguments: dict[str, Any] = {"force": force, "accept": accept, "trust": trust, "max_pixels": max_pixels}
    if pareto:
        asked = {key: options[key] for key in ("speedup", "latency_budget_ms")}
        export_front((model, data, out, recipe), asked, arguments)
        return
    arguments |= {"device": device, "locked": locked}
    done = _run(model, data, out, recipe, times, arguments)
    _show(done)
    if recipe.require_shown:
        from u3p_edge.pipeline.require_shown import require_shown

        require_shown(done.result.loss_check, done.run)


def _lock(locked: Path | None, device: Path | None) -> Lock | None:
    from u3p_edge.pipeline.replay import open_lock

    return open_lock(locked, device)


def _recipe(start: str | ExportRecipe, options: dict[str, Any], *, ptq: bool, lock: Lock | None) -> ExportRecipe:
    """The recipe with the options that were given. Without --int8 float files alone are asked for, unless a lock says more."""
    from u3p_edge.errors import ConfigError
    from u3p_edge.pipeline.replay import choose_recipe

    if ptq and (options["qat_epochs"] is not None or options["method"] is not None):
        other = "--qat-epochs" if options["qat_epochs"] is not None else "--method"
        raise ConfigError(f"--ptq and {other} exclude each other", mend="Give one of them, or neither.")
    int8 = options["int8"] if lock is not None and start == lock.options else bool(options["int8"])
    given = parse_options(OPTIONS, {**options, "int8": int8, "method": "ptq" if ptq else options["method"]})
    return choose_recipe(start, given, lock)


def _run(
    model: Path | None, data: Path | None, out: Path, recipe: ExportRecipe, times: StageTimes, arguments: dict[str, Any]
) -> ExportResult:
    from u3p_edge.cli.bench import command_line
    from u3p_edge.cli.progress import stages

    with stages(times=times) as progress:
        progress("Load TensorFlow", 0)
        from u3p_edge.pipeline.export import export as run_export

        # What is required of the result is checked when the terminal has shown it.
        arguments = {**arguments, "require_shown": False}
        return run_export(model, data, out, recipe, progress=progress, command=command_line(sys.argv), **arguments)


def _times(model: Path | None, data: Path | None, recipe: ExportRecipe, device: Path | None) -> StageTimes:
    """How long this export took before, on this machine."""
    from u3p_edge import __version__
    from u3p_edge.cache import default_folder
    from u3p_edge.cli.stage_times import read_stage_times

    paths = (str(path and path.resolve()) for path in (model, data, device))
    return read_stage_times(default_folder(), __version__, "export", *paths, recipe.to_json())


def _check_paths(model: Path | None, data: Path | None, out: Path) -> None:
    """Refuse a model, data or output folder that cannot be used, before TensorFlow is loaded."""
    from u3p_edge.errors import DataError, ModelError
    from u3p_edge.run_folder import check_output_folder

    if model is not None and not model.exists():
        raise ModelError(f"the model {model} does not exist")
    if data is not None and not data.is_dir():
        raise DataError(f"the data folder {data} does not exist")
    check_output_folder(out)


def _check_effect(context: typer.Context, model: Path | None, recipe_name: str, recipe: ExportRecipe) -> None:
    """Refuse options that would change nothing, and say where one goes before the recipe."""
    from u3p_edge.recipes.named import read_export_recipe
    from u3p_edge.training.output import RECIPE

    if model is None or model.is_dir():
        known = "the embedded model" if model is None else f"the run folder {model}"
        refuse(context, FILES_ALONE, f"is for a Keras or ONNX file, and {known} says that itself", "Leave it out.")
        if model is None or (model / RECIPE).is_file():
            refuse(context, ("accept",), f"is for a model of another program, and {known} is of this one", "Leave it out.")
    elif model.suffix.lower() == ".onnx":
        refuse(context, ("trust",), "is for a Keras file, and nothing that an ONNX file holds is run", "Leave it out.")
    if not recipe.int8:
        refuse(context, INT8_ALONE, "is for int8 files, and no int8 was asked for", "Add --int8.")
    budgets = typed_options(context, BUDGETS)
    if budgets and typed_options(context, ("recipe_name",)) and read_export_recipe(recipe_name).recipe.pruning is None:
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
    """The summary table, how the files came about, and where they are. Exit code 1 where one could not be made."""
    from u3p_edge.cli.bench import show

    show(done.result, done.notes)
    if done.reused:
        say("The run folder held this very export already; --force does it again.")
    say(f"Report: {done.run / 'report.md'}")
    if done.failures:
        # The notes above name the layers; this is what a log shows last.
        print(f"u3p-edge: {len(done.failures)} of the files could not be made", file=sys.stderr)
        raise typer.Exit(1)
