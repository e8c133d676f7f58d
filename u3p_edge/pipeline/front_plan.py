"""Which networks a front has: the exact one, and pruned ones by growing speed-ups, each starting from the one before."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ConfigError
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.pipeline.budgets import LATENCY
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.prune_bounds import find_bounds
from u3p_edge.pipeline.score_channels import score_channels
from u3p_edge.pipeline.search import take_shape
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.budget import Limit, search_plan
from u3p_edge.recipes.recipe import QUANTIZATION_DROP, ExportRecipe, Pruning
from u3p_edge.shapes.shape import find_shape

SPEEDUPS = (1.8, 2.6, 4.0, 5.9, 8.9, 13.0, 20.0, 30.0, 45.0, 68.0, 100.0)
"""How many times as fast as float a pruned network may be, by a factor of 1.5; those of the recipes `balanced` (30) and `small`
(45) are among them."""

MOST = 6
"""How many of `SPEEDUPS` a front has, the fastest that are within reach."""

NEAR = 1.15
"""Speed-ups whose ratio is smaller give one network, not two."""

LEAST = 1e-3
"""Of a bound: a network that fast has hardly a channel left."""

EXACT = "exact"
"""Name of the network that is not pruned."""


@dataclass(frozen=True)
class PlannedPoint:
    """A network of a front.

    Args:
        name: of its run folder.
        speedup: that it is pruned to, against float32 TFLite; None for the exact network.
        recipe: of its export.
    """

    name: str
    speedup: float | None
    recipe: ExportRecipe


@dataclass(frozen=True)
class FrontSpeeds:
    """The speed-ups of a front.

    Args:
        start: of the int8 network before pruning, in its own shape.
        wanted: of the pruned networks, ascending.
        fastest: with hardly a channel left; None where that is not known.
    """

    start: float
    wanted: tuple[float, ...]
    fastest: float | None = None


def plan_front(context: Context) -> tuple[tuple[PlannedPoint, ...], FrontSpeeds]:
    """Return the networks of a front, the slowest first, and their speed-ups, which are kept in the staging folder.

    Args:
        context: whose recipe prunes; its speed-up or latency is a point of the front besides `SPEEDUPS`.

    Raises:
        ConfigError: the recipe prunes to a size, or does not prune at all.
        ModelError: a layer that has no TFLite form.
    """
    recipe, pruning = context.recipe, context.recipe.pruning
    if pruning is None or (pruning.speedup is None and pruning.latency_budget_ms is None):
        raise ConfigError("a front is ordered by time, and the recipe has no speed-up", mend="Give --recipe balanced.")
    speeds = from_dict(FrontSpeeds, context.staging.decide("front", lambda: asdict(_find_speeds(context, pruning))))
    exact = replace(recipe, pruning=None, max_drop=min(recipe.max_drop, QUANTIZATION_DROP))
    points = [PlannedPoint(EXACT, None, exact)]
    for number, speedup in enumerate(speeds.wanted):
        pruned = replace(_to_speedup(pruning, speedup), retries=0, fallback=False)
        if not pruning.search:  # which starts every network from a shape of its own
            pruned = replace(pruned, shares=list_steps(speeds, number), steps=1)
        points.append(PlannedPoint(f"x{speedup:.3g}", speedup, replace(recipe, pruning=pruned)))
    return tuple(points), speeds


def list_steps(speeds: FrontSpeeds, number: int) -> tuple[float, ...]:
    """Return the shares of the way to one speed-up at which the slower networks of the front are.

    >>> [round(share, 3) for share in list_steps(FrontSpeeds(5, (10, 20, 40)), 2)]
    [0.333, 0.667]
    """
    whole = math.log(speeds.wanted[number] / speeds.start)
    return tuple(math.log(slower / speeds.start) / whole for slower in speeds.wanted[:number])


def choose_speeds(unpruned: float, asked: float, fastest: float | None) -> tuple[float, ...]:
    """Return the speed-ups of a front, ascending: the asked one, and of `SPEEDUPS` the fastest that are neither near it nor out
    of reach.

    Args:
        unpruned: of the int8 network before pruning.
        asked: by the recipe.
        fastest: that pruning reaches; None where that is not known.

    >>> choose_speeds(15, 50, 90)
    (20.0, 30.0, 50, 68.0)
    """
    most = math.inf if fastest is None else fastest
    others = [each for each in SPEEDUPS if NEAR * unpruned < each <= most and not 1 / NEAR < each / asked < NEAR]
    return tuple(sorted((*others[-MOST:], *((asked,) if NEAR * unpruned < asked <= most else ()))))


def _find_speeds(context: Context, pruning: Pruning) -> FrontSpeeds:
    quickest = _to_speedup(pruning, SPEEDUPS[-1])
    bounds = find_bounds(replace(context, recipe=replace(context.recipe, pruning=quickest)), quickest)
    budget = next((each for each in bounds.wanted if each.name == LATENCY), None)
    if budget is None:
        return FrontSpeeds(SPEEDUPS[-1], ())
    reference_ms = budget.bound * SPEEDUPS[-1]
    asked = pruning.speedup if pruning.latency_budget_ms is None else reference_ms / pruning.latency_budget_ms
    assert asked is not None, "the recipe has one of the two"
    start = reference_ms / budget.start
    if pruning.search:  # another shape may reach what channels alone do not
        return FrontSpeeds(start, choose_speeds(start, asked, None))
    named = pruning.shape and take_shape(context.original, find_shape(pruning.shape)).network.source
    source = named or context.original
    graph = fold_batch_norm(source.graph)
    unpruned = reference_ms / min(budget.start, budget.real(graph))
    fitted = search_plan(graph, score_channels(source, context), [Limit(budget.name, budget.estimate, LEAST * budget.bound)])
    fastest = reference_ms / budget.real(apply_plan(graph, fitted.plan))
    return FrontSpeeds(start, choose_speeds(unpruned, asked, fastest), fastest)


def _to_speedup(pruning: Pruning, speedup: float) -> Pruning:
    return replace(pruning, speedup=speedup, latency_budget_ms=None, size_budget_mb=None, shrink=None)
