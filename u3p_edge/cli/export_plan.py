"""`u3p-edge export --dry-run`: what an export would do, from a model and data that were really read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from u3p_edge.cli.terminal import say

if TYPE_CHECKING:
    from u3p_edge.cli.stage_times import StageTimes
    from u3p_edge.recipes.recipe import ExportRecipe


def explain(model: Path | None, data: Path | None, recipe: ExportRecipe, max_pixels: int, times: StageTimes) -> None:
    """The plan, from a model and a folder of which every file was read and checked as the export does it."""
    from u3p_edge.cli.progress import stages
    from u3p_edge.data.embedded import embedded_folder
    from u3p_edge.data.folder import open_folder
    from u3p_edge.data.memory import array_bytes, available_bytes, check_memory
    from u3p_edge.pipeline.data import check_fit, data_options, inputs_of, read_export_data
    from u3p_edge.pipeline.normalization_check import check_normalization
    from u3p_edge.pipeline.source import read_source, training_of
    from u3p_edge.progress import silent

    source = read_source(model, recipe)
    check_fit(source.metadata, data)
    options = data_options(recipe, training_of(source), data, max_pixels)
    dataset = open_folder(data or embedded_folder(), options)
    counts = ", ".join(f"{dataset.count(split)} {split}" for split in ("train", "val", "test"))
    how = {"auto": f"post-training, else {recipe.qat_epochs} epochs of training", "ptq": "post-training"}
    p = source.metadata.preprocessing
    inputs = inputs_of(dataset, source.metadata)
    check_memory(inputs, p)
    with stages() as progress:
        read_export_data(data, source.metadata, progress, options)
    say(f"model   {source.name}: {source.parameters / 1e6:.2f} M parameters, {source.macs / 1e9:.2f} GMAC")
    say(f"input   {p.height}x{p.width}x{p.channels}, {p.normalization}, {p.fit}")
    say(f"data    {dataset.root.resolve().name}: {counts} images")
    say(f"memory  {array_bytes(inputs, p) / 1e9:.2f} GB for the images, of {available_bytes() / 1e9:.1f} GB available")
    for note in dataset.notes:
        say(f"        {note}")
    if source.folder is None and data is not None:
        check = check_normalization(source, dataset.split("val"), silent)
        say(f"score   {check.note if check else 'no foreground in the validation images'}")
    say(f"prune   {_pruning(recipe)}")
    say(f"int8    {how.get(recipe.method, f'{recipe.qat_epochs} epochs of training') if recipe.int8 else 'no'}")
    say(f"rewrite {_rewriting(recipe)}")
    if recipe.zeros is not None:
        say(f"zeros   {100 * recipe.zeros.share:g} % of the weights ({recipe.zeros.pattern})")
    say(f"formats {', '.join(recipe.formats)}")
    say(f"time    {_forecast(times)}")


def _forecast(times: StageTimes) -> str:
    from u3p_edge.cli.progress import duration

    if times.seconds is None:
        return "not known before the first export of this model with this data and these options on this machine"
    return f"about {duration(times.seconds)} in {times.total} stages, as the last time on this machine"


def _pruning(recipe: ExportRecipe) -> str:
    p = recipe.pruning
    if p is None:
        return "no"
    from u3p_edge.cli.budgets import describe_budgets

    steps = f"{p.steps} step{'s' if p.steps > 1 else ''}, {p.final_updates} gradient steps of distillation after the last"
    return f"to {describe_budgets(p)}, by {p.importance}; {steps}; at most {recipe.max_drop:g} points lost"


def _rewriting(recipe: ExportRecipe) -> str:
    if not recipe.rewrite:
        return "no"
    strips = "strips by the memory plan" if recipe.strips is None else f"{recipe.strips} strips"
    if recipe.memory_budget_mb is not None:
        strips = f"strips for {recipe.memory_budget_mb:g} MB"
    return f"{'as recorded' if recipe.rewrites else 'exact forms chosen by timing'}, {strips}"
