"""The result of pruning a model: the network, the plan and its steps, and the sentences that report them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from u3p_edge.benchmark.loss_check import LossCheck, describe_loss
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import LatencyTable
from u3p_edge.pipeline.search_decision import SearchDecision
from u3p_edge.pipeline.source import Source
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.recipes.recipe import Pruning
from u3p_edge.shapes.shape import Shape


@dataclass(frozen=True)
class PruningStep:
    """One pruning step: a cut and its fine-tuning.

    Args:
        share: of the way to the budgets, by equal factors; 1 is the budgets themselves.
        reached: what the network costs, by the budget's name.
        cut_dice, dice: mean foreground Dice on the validation split just after the cut, and after fine-tuning.
        epochs, best_epoch: of fine-tuning.
        kept: the loss of Dice is within the allowed drop, by its estimate; always, where the recipe has no fallback.
        loss_check: whether the pruned float network is shown to lose at most that.
    """

    share: float
    reached: Mapping[str, float]
    cut_dice: float
    dice: float
    epochs: int
    best_epoch: int
    kept: bool
    loss_check: LossCheck


@dataclass(frozen=True)
class PruningResult:
    """The result of pruning a model.

    Args:
        source: the pruned model; the original where no plan was good enough, or none was asked for.
        steps: in order.
        plan: of all steps that were kept, in channels of the original model in its shape.
        float_dice: Dice of the original model on the validation split.
        before, after: folded graphs, for a table of channels.
        table: the latencies that the plans are based on; None where nothing was pruned.
        notes: the result in sentences, for a report.
        shape: of the pruned model; the unchanged one where the original is kept.
        search: what was searched for that shape; None where nothing was.
    """

    source: Source
    steps: tuple[PruningStep, ...]
    plan: PruningPlan
    float_dice: float | None
    before: Graph
    after: Graph
    table: LatencyTable | None
    notes: tuple[str, ...]
    shape: Shape = field(default_factory=Shape)
    search: SearchDecision | None = None


def pruning_notes(done: Sequence[PruningStep], pruning: Pruning, max_drop: float, float_dice: float) -> tuple[str, ...]:
    """Return sentences on what every step costs and loses, and on whether it is kept."""
    sentences = []
    for number, step in enumerate(done):
        costs = ", ".join(f"{name} {value:.3g}" for name, value in step.reached.items())
        over = f"**not kept: more than the {max_drop:g} points that it may lose**"
        kept = "kept" if step.kept else "a step on the way" if number < pruning.steps - 1 else over
        sentences.append(
            f"Pruned to {costs} by {pruning.importance}: validation Dice {100 * float_dice:.2f} before pruning, "
            f"{100 * step.cut_dice:.2f} just after the cut, {100 * step.dice:.2f} after {step.epochs} epochs of distillation: "
            f"{describe_loss(step.loss_check)}; {kept}."
        )
    last = next((step for step in reversed(done) if step.kept), None)
    if last is None:
        sentences.append("**No plan kept enough: the network has all its channels.**")
    elif last.share < 1:
        sentences.append("**The budget is not met: what comes nearer to it loses more than is allowed.**")
    return tuple(sentences)


def node_milliseconds(pruning: PruningResult) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return the milliseconds of every node, before and after pruning; none where the plans are not based on latency."""
    if pruning.table is None:
        return {}, {}
    predictor = Predictor(pruning.table)
    return predictor.predict(pruning.before).nodes, predictor.predict(pruning.after).nodes
