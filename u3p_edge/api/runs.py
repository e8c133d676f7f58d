"""Whole runs, each with a folder that an interrupted call continues: train, prune, export, predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from u3p_edge.api.arguments import as_path
from u3p_edge.config.limits import MAX_MEMORY_MB
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.errors import require_packages
from u3p_edge.progress import Progress, silent

if TYPE_CHECKING:
    from u3p_edge.pipeline.export import ExportResult
    from u3p_edge.pipeline.predict import Predictions
    from u3p_edge.pipeline.pruning_result import PruningResult
    from u3p_edge.recipes.recipe import ExportRecipe
    from u3p_edge.training.loop import TrainResult
    from u3p_edge.training.recipe import TrainRecipe


@require_packages("u3p_edge.train")
def train(
    data: str | Path,
    out: str | Path,
    recipe: str | Path | TrainRecipe | None = None,
    *,
    restart: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
    **options: Any,
) -> TrainResult:
    """Train a UNet 3+ on a folder of images and masks, or continue the run in `out`.

    Args:
        data: the folder: images/, masks/ and perhaps split.csv.
        out: run folder.
        recipe: a recipe, or a TOML file of one; None for the defaults.
        restart: drop the run in `out` and begin anew.
        max_pixels: height x width that an image or mask may have.
        progress: see `u3p_edge.progress`.
        options: fields of `TrainRecipe`, which go before the recipe, for example `base_width=8, epochs=40`; `augment`,
            `flip_horizontal` and `flip_vertical` say how images vary.

    Raises:
        U3pEdgeError: bad input; the message names the file or the option.
    """
    from u3p_edge.pipeline.train import build_train_recipe
    from u3p_edge.pipeline.train import train as run

    chosen = build_train_recipe(as_path(recipe) if isinstance(recipe, str | Path) else recipe, **options)
    return run(Path(data), Path(out), chosen, restart=restart, max_pixels=max_pixels, progress=progress)


@require_packages("u3p_edge.prune")
def prune(
    model: str | Path | None = None,
    data: str | Path | None = None,
    out: str | Path = "pruned",
    recipe: str | Path | ExportRecipe = "balanced",
    *,
    device: str | Path | None = None,
    trust: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
    **options: Any,
) -> PruningResult:
    """Drop channels until the int8 file meets a budget, and fine-tune the network that is left by distillation.

    Args:
        model: a run folder of `train`, a `.keras` or `.h5` file; None for the embedded reference model.
        data: data folder; None for the embedded images.
        out: folder in which finished epochs are kept, so that the same call continues after an interruption.
        recipe: name, TOML file or recipe that has pruning.
        device: a latency table of `profile_device`; None for this machine.
        trust: run code that a Keras file holds.
        max_pixels: height x width that an image or mask may have.
        progress: see `u3p_edge.progress`.
        options: of the recipe, for example `speedup=20` or `latency_budget_ms=5`.

    Returns:
        The pruned model (`.source`, which `from_keras` takes), its plan and what each step cost.

    Raises:
        U3pEdgeError: bad input, or a budget that no plan can meet.
    """
    from u3p_edge.pipeline.prune_model import prune_model
    from u3p_edge.recipes.build import build_recipe

    return prune_model(
        as_path(model), as_path(data), build_recipe(recipe, **options), Path(out),
        device=as_path(device), trust=trust, max_pixels=max_pixels, progress=progress,
    )  # fmt: skip


@require_packages("u3p_edge.export")
def export(
    model: str | Path | None = None,
    data: str | Path | None = None,
    out: str | Path = "exported",
    recipe: str | Path | ExportRecipe = "balanced",
    *,
    device: str | Path | None = None,
    force: bool = False,
    accept: bool = False,
    trust: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
    **options: Any,
) -> ExportResult:
    """Export a model: prune, rewrite, quantize, write, verify, measure, report.

    Args:
        model: a run folder of `train`, a `.keras` or `.h5` file; None for the embedded reference model.
        data: data folder; None for the embedded images.
        out: run folder for the files. An interrupted export continues where it stopped.
        recipe: name ("exact", "balanced", "small"), TOML file or recipe.
        device: a latency table of `profile_device` for pruning; None for this machine.
        force: export again even if `out` already holds the same export.
        accept: export a Keras file whose float model does not work on the data as it would be exported.
        trust: run code that a Keras file holds.
        max_pixels: height x width that an image or mask may have.
        progress: see `u3p_edge.progress`.
        options: of the recipe, by their keywords, for example `speedup=20`; `u3p-edge recipes show balanced` lists them.

    Returns:
        The files, their accuracy and latencies beside the float model's, and notes on how they were made.

    Raises:
        U3pEdgeError: bad input; nothing half-written is left.
        VerificationError: a file does not compute what the float model computes.
    """
    from u3p_edge.pipeline.export import export as run
    from u3p_edge.recipes.build import build_recipe

    return run(
        as_path(model), as_path(data), Path(out), build_recipe(recipe, **options),
        progress=progress, device=as_path(device), force=force, accept=accept, trust=trust, max_pixels=max_pixels,
    )  # fmt: skip


def predict(
    model: str | Path,
    images: Sequence[str | Path],
    out: str | Path,
    *,
    overlay: bool = False,
    recursive: bool = False,
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
    max_memory_mb: float | None = MAX_MEMORY_MB,
    progress: Progress = silent,
) -> Predictions:
    """Write the masks of images into a folder; one that cannot be read does not stop the others. Needs no TensorFlow.

    Args:
        model: a model file, or the run folder of an export.
        images: files, and folders of images.
        out: folder of the masks.
        overlay: also write a picture of each image with its mask painted over it.
        recursive: take the folders inside a folder too.
        threads: of the runtime; None for all cores.
        max_pixels: height x width that an image may have.
        max_memory_mb: a model file that would take more, in MB of 10^6 bytes, is refused.
        progress: see `u3p_edge.progress`.

    Raises:
        U3pEdgeError: the model, an image's path or the folder cannot be used.
    """
    from u3p_edge.pipeline.predict import predict_files

    return predict_files(
        Path(model), [Path(image) for image in images], Path(out),
        overlay=overlay, recursive=recursive, threads=threads, max_pixels=max_pixels, max_memory_mb=max_memory_mb,
        progress=progress,
    )  # fmt: skip
