"""`u3p-edge export --dry-run`: print what an export would do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from u3p_edge.cli.budgets import describe_budgets
from u3p_edge.cli.image_memory import describe_memory
from u3p_edge.cli.progress import duration
from u3p_edge.cli.terminal import say
from u3p_edge.recipes.recipe import ExportRecipe, Pruning, QuantizationOptions

if TYPE_CHECKING:
    from u3p_edge.cli.stage_times import StageTimes
    from u3p_edge.pipeline.plan import ExportPlan


def show_plan(plan: ExportPlan, recipe: ExportRecipe, times: StageTimes, *, pareto: bool = False) -> None:
    """Print one line a subject.

    Args:
        plan: what the export starts from.
        recipe: the options.
        times: of the last export with the same options.
        pareto: a front is exported.
    """
    source, preprocessing = plan.source, plan.source.metadata.preprocessing
    size = f"{preprocessing.height}x{preprocessing.width}x{preprocessing.channels}"
    say(f"model   {source.name}: {source.parameters / 1e6:.2f} M parameters, {source.macs / 1e9:.2f} GMAC")
    say(f"input   {size}, {preprocessing.normalization}, {preprocessing.fit}")
    say(f"data    {plan.data}: {', '.join(f'{count} {split}' for split, count in plan.images.items())} images")
    say(f"memory  {describe_memory(plan.needed_bytes, plan.allowed_bytes)}")
    for note in plan.notes:
        say(f"        {note}")
    if plan.score:
        say(f"score   {plan.score}")
    say(f"prune   {_pruning(recipe)}")
    if pareto:
        say(f"front   {_front(recipe)}")
    if recipe.pruning is not None and recipe.pruning.search:
        say(f"search  {_search(recipe.pruning, plan)}")
    say(f"int8    {_quantization(recipe.quantization) if recipe.int8 else 'no'}")
    say(f"rewrite {_rewriting(recipe)}")
    if recipe.sparsity is not None:
        say(f"sparse  {100 * recipe.sparsity.share:g} % of the weights ({recipe.sparsity.pattern})")
    say(f"formats {', '.join(recipe.formats)}")
    say(f"time    {_forecast(times)}")


def _forecast(times: StageTimes) -> str:
    if times.seconds is None:
        return "not known before the first export of this model with this data and these options on this machine"
    return f"about {duration(times.seconds)} in {times.total} stages, as the last time on this machine"


def _pruning(recipe: ExportRecipe) -> str:
    pruning = recipe.pruning
    if pruning is None:
        return "no"
    steps = f"{pruning.steps} step{'s' if pruning.steps > 1 else ''}"
    training = f"{pruning.final_updates} gradient steps of distillation after the last"
    budgets = describe_budgets(pruning)
    return f"to {budgets}, by {pruning.importance}; {steps}, {training}; at most {recipe.max_drop:g} points lost"


def _front(recipe: ExportRecipe) -> str:
    from u3p_edge.pipeline.front_plan import MOST

    assert recipe.pruning is not None, "a front prunes"
    return f"the exact network, up to {MOST} ever faster ones, and one to {describe_budgets(recipe.pruning)}"


def _search(pruning: Pruning, plan: ExportPlan) -> str:
    from u3p_edge.shapes.apply import list_shapes

    shapes = len(list_shapes(plan.source.graph))
    return f"{shapes} shape{'s' if shapes > 1 else ''}, at most about {pruning.search_minutes:g} min on two cores"


def _quantization(options: QuantizationOptions) -> str:
    training = f"{options.qat_epochs} epochs of training"
    return {"auto": f"post-training, else {training}", "ptq": "post-training", "qat": training}[options.method]


def _rewriting(recipe: ExportRecipe) -> str:
    if not recipe.rewriting.enabled:
        return "no"
    tiling = recipe.tiling
    tiles = "tiles by the memory plan" if tiling.tiles is None else f"{tiling.tiles} tiles"
    if tiling.memory_budget_mb is not None:
        tiles = f"tiles for {tiling.memory_budget_mb:g} MB"
    return f"{'as recorded' if recipe.rewriting.choices else 'exact forms chosen by milliseconds'}, {tiles}"
