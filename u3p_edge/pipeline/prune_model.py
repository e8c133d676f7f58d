"""Prune a model by itself, without the rest of an export."""

from __future__ import annotations

from pathlib import Path

from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.errors import ConfigError
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.inputs import read_inputs
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.pruning_result import PruningResult
from u3p_edge.pipeline.staging import open_staging
from u3p_edge.progress import Progress, silent
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.run_folder import hold


def prune_model(
    model: Path | None,
    data: Path | None,
    recipe: ExportRecipe,
    folder: Path,
    *,
    device: Path | None = None,
    trust: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
) -> PruningResult:
    """Prune a model to its recipe's budgets and fine-tune it.

    Args:
        model: a run folder, a `.keras` or `.h5` file, or None for the embedded reference model.
        data: a data folder, or None for the embedded images.
        recipe: with `pruning`.
        folder: where every finished epoch is kept, so that the same call continues after an interruption.
        device: a latency table of another device; None for this machine.
        trust: run code that a Keras file holds.
        max_pixels: height x width that an image or mask may have.
        progress: shows the stages.

    Returns:
        The pruned network, with the steps that led to it; its `source.model` is a tf_keras model.

    Raises:
        ConfigError: no budget, or one that no plan can keep.
        U3pEdgeError: a model or data that cannot be read, or a folder that another process writes to.
    """
    if recipe.pruning is None:
        raise ConfigError("the recipe prunes nothing", mend="Give a budget, for example speedup=20.")
    with hold(folder):
        inputs = read_inputs(model, data, recipe, trust=trust, max_pixels=max_pixels, progress=progress)
        staging = open_staging(folder, inputs.key(recipe, device), progress=progress)
        return prune_source(Context(inputs.original, inputs.data, recipe, staging, progress, device))
