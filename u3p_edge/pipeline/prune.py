"""Drop channels to meet a budget, and fine-tune the pruned network by distillation from the original model.

graph ─ search for a shape, if asked for ─► start
start ─ importance ─ plan to the next step ─ cut ─ fine-tune by distillation ─┬► the next step, from there
                                                                              └► at the budget: kept, if within --max-drop,
                                                                                 else half-way back, or the last good one
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from functools import partial

from u3p_edge.config.plain import from_dict
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.latency.table.table import LatencyTable
from u3p_edge.pipeline.budgets import Budget
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.decisions import BudgetDecision
from u3p_edge.pipeline.prune_bounds import find_bounds
from u3p_edge.pipeline.prune_step import PrunedNetwork, Work, count_epochs, start_work, take_step
from u3p_edge.pipeline.pruning_result import PruningResult, PruningStep, pruning_notes
from u3p_edge.pipeline.search import StartNetwork, find_start
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.validation import mean_dice
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.recipes.recipe import Pruning
from u3p_edge.shapes.shape import Shape


def prune_source(context: Context) -> PruningResult:
    """Prune the original model as the recipe says; every finished epoch of fine-tuning is kept in the staging folder.

    Raises:
        ConfigError: a speed-up against float was asked for on a device that is not this one, or a budget that no plan can keep.
        ModelError: a layer that has no TFLite form, or that a device's table lacks.
    """
    if context.recipe.pruning is None:
        return _whole(context.original)
    bounds = functools.cache(partial(find_bounds, context, context.recipe.pruning))
    decided = from_dict(BudgetDecision, context.staging.decide("budgets", lambda: bounds().to_decision()))
    if not decided.bounds:
        return _whole(context.original, "Nothing was pruned: the network is within its budgets as it is.", *decided.notes)
    result = prune_to(lambda: bounds().wanted, context, decided.table)
    return dataclasses.replace(result, notes=(*decided.notes, *result.notes))


def prune_to(wanted: Callable[[], Sequence[Budget]], context: Context, table: LatencyTable | None = None) -> PruningResult:
    """Prune the original model to the caller's budgets; the recipe's pruning options apply, except its own budgets.

    Args:
        wanted: returns the budgets; called only where a plan is made.
        context: of the export.
        table: latencies, for the report.

    Raises:
        ConfigError: a budget that no plan can keep.
        ModelError: a budget's estimate raises it.
    """
    assert context.recipe.pruning is not None, "it says how to prune"
    work = start_work(context, context.recipe.pruning)
    return _steps(work, find_start(work, wanted), wanted, table)


def _whole(source: Source, *notes: str) -> PruningResult:
    """Return the result for a source that was not pruned."""
    folded = fold_batch_norm(source.graph)
    return PruningResult(source, (), PruningPlan(), None, folded, folded, None, notes)


def _steps(
    work: Work, start: StartNetwork, wanted: Callable[[], Sequence[Budget]], table: LatencyTable | None
) -> PruningResult:
    """Cut and fine-tune until the budgets are met or too much is lost; return the last good network.

    Before the last step a network is fine-tuned only a little, so the next step starts from it whatever it has lost. The
    estimate of the loss decides what is kept: with few patients hardly any step would be shown to be within the limit.
    """
    float_dice, original = mean_dice(work.float_scores), PrunedNetwork(work.context.original)
    good, current, done = original, start.network, list[PruningStep]()
    ahead = list_shares(work.pruning)
    retries = work.pruning.retries
    while ahead:
        share, *later = ahead
        epochs = count_epochs(work, last=not later or bool(work.pruning.shares))
        current, step = take_step(work, current, wanted, share, epochs, len(done))
        within = 100 * (float_dice - step.dice) <= work.context.recipe.max_drop or not work.pruning.fallback
        kept = work.context.staging.part(f"prune{len(done)}").decide("kept", partial(bool, within))
        done.append(dataclasses.replace(step, kept=kept))
        good = current if kept else good
        if not (later or kept) and retries:
            retries, later = retries - 1, [(good.share + share) / 2]
            current = start.network if good is original else good
        ahead = later
    sentences = (*start.notes, *pruning_notes(done, work.pruning, work.context.recipe.max_drop, float_dice))
    shape = Shape() if good is original else start.shape
    before, after = fold_batch_norm(work.context.original.graph), fold_batch_norm(good.source.graph)
    return PruningResult(good.source, tuple(done), good.plan, float_dice, before, after, table, sentences, shape, start.search)


def list_shares(pruning: Pruning) -> list[float]:
    """Return the share of the way to the budgets of each step; the last is 1, the budgets themselves."""
    if pruning.shares:
        return [*pruning.shares, 1.0]
    return [(number + 1) / pruning.steps for number in range(pruning.steps)]
