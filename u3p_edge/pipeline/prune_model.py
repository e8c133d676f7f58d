"""Prune a model by itself, without the rest of an export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.errors import ConfigError
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.inputs import read_inputs
from u3p_edge.pipeline.prune import prune_source
from u3p_edge.pipeline.pruning_result import PruningResult
from u3p_edge.pipeline.staging import open_staging
from u3p_edge.progress import Progress, silent
from u3p_edge.recipes.build import build_recipe
from u3p_edge.recipes.named import DEFAULT
from u3p_edge.recipes.recipe import ExportRecipe
from u3p_edge.run_folder import hold


def prune(
    model: str | Path | None = None,
    data: str | Path | None = None,
    out: str | Path = "pruned",
    recipe: str | Path | ExportRecipe = DEFAULT,
    *,
    device: str | Path | None = None,
    trust: bool = False,
    max_pixels: int = MAX_PIXELS,
    progress: Progress = silent,
    **options: Any,
) -> PruningResult:
    """Drop channels until the int8 file meets a budget, and fine-tune the network that is left by distillation.

    Args:
        model: a run folder of `train`, a `.keras`, `.h5` or `.onnx` file; None for the embedded reference model.
        data: a data folder; None for the embedded images.
        out: folder in which finished epochs are kept, so that the same call continues after an interruption.
        recipe: a name, a TOML file, or a recipe that has pruning.
        device: a latency table of `profile_device`; None for this machine.
        trust: run code that a Keras file holds.
        max_pixels: height x width that an image or mask may have.
        progress: shows the stages.
        options: of the recipe, for example `speedup=20` or `latency_budget_ms=5`.

    Returns:
        The pruned model (`.source`, which `from_keras` takes), its plan and what each step cost.

    Raises:
        ConfigError: no budget, or one that no plan can keep.
        U3pEdgeError: a model or data that cannot be read, or a folder that another process writes to.
    """
    folder, chosen, table = Path(out), build_recipe(recipe, **options), Path(device) if device else None
    if chosen.pruning is None:
        raise ConfigError("the recipe prunes nothing", mend="Give a budget, for example speedup=20.")
    with hold(folder):
        inputs = read_inputs(model, data, chosen, trust=trust, max_pixels=max_pixels, progress=progress)
        staging = open_staging(folder, inputs.key(chosen, table), progress=progress)
        return prune_source(Context(inputs.original, inputs.data, chosen, staging, progress, table))
