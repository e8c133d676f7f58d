"""The candidates of a search: every shape of a network, pruned to the budgets without any training."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.graph.cost import cost
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.pipeline.budgets import CLOSE, Budget, plan_channels
from u3p_edge.pipeline.prune_step import Work, with_model
from u3p_edge.pipeline.score_channels import score_channels
from u3p_edge.pipeline.search_decision import SearchedShape
from u3p_edge.pipeline.staging import Staging
from u3p_edge.progress import Progress, Step, idle
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.shapes.shape import Shape


@dataclass(frozen=True)
class ShapeCandidate:
    """A shape whose network keeps to the budgets.

    Args:
        number: of the shape in the list of all.
        shape: of the network.
        graph: the pruned network, untrained.
        searched: what is kept of it.
    """

    number: int
    shape: Shape
    graph: Graph
    searched: SearchedShape


@dataclass(frozen=True)
class OneBar:
    """A `Progress` whose stages are steps of one bar.

    Args:
        progress: is given notes.
        step: of the bar.
    """

    progress: Progress
    step: Step = idle

    def __call__(self, _stage: str, _steps: int, /) -> Step:
        return self.step

    def note(self, sentence: str, /) -> None:
        """Hand a note on."""
        self.progress.note(sentence)


def order_shapes(budget: Budget, shapes: Sequence[Shape], build: Callable[[Shape], Graph]) -> tuple[Shape, ...]:
    """Return shapes by how near their unpruned networks are to a budget, as factors; those that cannot be estimated last.

    Near the budget most channels are left, and it is cheap to tell: nothing is scored or trained.
    """

    def distance(shape: Shape) -> float:
        try:
            return abs(math.log(budget.estimate(fold_batch_norm(build(shape))) / budget.bound))
        except ModelError:
            return math.inf

    return tuple(sorted(shapes, key=distance))


def prune_shapes(
    work: Work, wanted: Sequence[Budget], shapes: Sequence[Shape], build: Callable[[Shape], Graph], staging: Staging
) -> tuple[ShapeCandidate | SearchedShape, ...]:
    """Prune each shape of the original network to the budgets, by importance; the plans are kept in the staging folder.

    Args:
        work: of the export.
        wanted: the budgets.
        shapes: all candidates.
        build: returns the original network in a shape.
        staging: folder of the search.

    Returns:
        For each shape the candidate, or why it is none.
    """
    context = work.context
    step = context.progress("Search: prune every shape to the budgets", len(shapes))
    quiet = replace(work, context=replace(context, progress=OneBar(context.progress)))
    pruned: list[ShapeCandidate | SearchedShape] = []
    for number, shape in enumerate(shapes):
        try:
            graph = build(shape)
            make = partial(_plan, quiet, wanted, graph)
            planned = json.loads(staging.file(f"plan{number}.json", make).read_text())
            pruned.append(_cut(number, shape, graph, planned, wanted))
        except (ConfigError, ModelError) as error:
            pruned.append(SearchedShape(shape.name, reason=error.symptom))
        step(shape.name)
    return tuple(pruned)


def _cut(
    number: int, shape: Shape, graph: Graph, planned: dict[str, Any], wanted: Sequence[Budget]
) -> ShapeCandidate | SearchedShape:
    """Return the pruned network of a plan, if it keeps to the budgets."""
    reached = planned["reached"]
    for budget in wanted:
        if reached[budget.name] > (1 + CLOSE) * budget.bound:
            missed = f"{budget.bound:.3g} ({budget.name}) is out of reach, {reached[budget.name]:.3g} is the least"
            return SearchedShape(shape.name, reached=reached, reason=missed)
    small = apply_plan(graph, PruningPlan.from_json(json.dumps(planned["plan"])))
    return ShapeCandidate(number, shape, small, SearchedShape(shape.name, cost(small).parameters, reached))


def _plan(work: Work, wanted: Sequence[Budget], graph: Graph) -> bytes:
    """Return, as JSON, the plan of a network within the budgets, or the nearest there is, and what it costs."""
    source = with_model(work.context.original, to_keras(graph))
    importance = score_channels(source, work.context)
    return json.dumps(plan_channels(fold_batch_norm(source.graph), importance, wanted).to_plain()).encode()
