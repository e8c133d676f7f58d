"""Drop channels to meet a budget, and fine-tune the pruned network by distillation from the original model.

graph ─ importance ─ plan to the next step ─ cut ─ fine-tune by distillation ─┬► the next step, from there
                                                                              └► at the budget: kept, if within --max-drop,
                                                                                 else half-way back, or the last good one
"""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.config.plain import from_dict
from u3p_edge.errors import CheckpointError
from u3p_edge.graph.cost import cost
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.latency.probe import Target
from u3p_edge.latency.table.measure import measure_table
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import LatencyTable, read_latency_table
from u3p_edge.metrics import Scores
from u3p_edge.pipeline.budgets import (
    Budget,
    PlannedNetwork,
    budgets,
    check_reachable,
    file_milliseconds,
    int8_milliseconds,
    plan_channels,
)
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.decisions import BudgetDecision
from u3p_edge.pipeline.latencies import find_latencies
from u3p_edge.pipeline.pruning_result import PruningResult, PruningStep, pruning_notes
from u3p_edge.pipeline.quantize import float_tflite
from u3p_edge.pipeline.score_channels import score_channels
from u3p_edge.pipeline.source import Source, augmentation_of
from u3p_edge.pipeline.staging import Staging
from u3p_edge.pipeline.validation import check_loss_of, float_model_scores, mean_dice
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.recipes.recipe import Pruning, check_device


@dataclass(frozen=True)
class _Bounds:
    """What a pruned network may cost, the latency table that says what it does cost, and how that is known, in sentences."""

    table: LatencyTable | None
    wanted: tuple[Budget, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Work:
    """What all steps share.

    Args:
        context, pruning: of the export, and the recipe's pruning options.
        float_scores: Dice of the original model on the validation split, by group and class.
        soft: the teacher probabilities of the training images.
    """

    context: Context
    pruning: Pruning
    float_scores: Scores
    soft: npt.NDArray[Any]


@dataclass(frozen=True)
class _Candidate:
    """A network, its plan in channels of the original model, and its share of the way to the budgets."""

    source: Source
    plan: PruningPlan
    share: float


def prune_source(context: Context) -> PruningResult:
    """Prune the original model as the recipe says; every finished epoch of fine-tuning is kept in the staging folder.

    Raises:
        ConfigError: a speed-up against float was asked for on a device that is not this one, or a budget that no plan can keep.
        ModelError: a layer that has no TFLite form, or that a device's table lacks.
    """
    if context.recipe.pruning is None:
        return _whole(context.original)
    find_bounds = functools.cache(partial(_budgets, context, context.recipe.pruning))
    decided = from_dict(BudgetDecision, context.staging.decide("budgets", lambda: _describe(find_bounds())))
    if not decided.bounds:
        return _whole(context.original, "Nothing was pruned: the network is within its budgets as it is.", *decided.notes)
    result = prune_to(lambda: find_bounds().wanted, context, decided.table)
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
    float_scores = float_model_scores(context.original, context.data.val)
    return _steps(_Work(context, context.recipe.pruning, float_scores, _teacher_probabilities(context)), wanted, table)


def _whole(source: Source, *notes: str) -> PruningResult:
    """Return the result for a source that was not pruned."""
    folded = fold_batch_norm(source.graph)
    return PruningResult(source, (), PruningPlan(), None, folded, folded, None, notes)


def _budgets(context: Context, pruning: Pruning) -> _Bounds:
    """Return the bounds, and the latency table of the device or of this machine; no table where time is not bound."""
    graph, memory_mb = fold_batch_norm(context.original.graph), context.recipe.tiling.memory_budget_mb
    if context.device is not None:
        check_device(pruning)
        table = read_latency_table(context.device)
        return _Bounds(table, budgets(graph, pruning, table, None, memory_mb))
    if pruning.speedup is None and pruning.latency_budget_ms is None:
        return _Bounds(None, budgets(graph, pruning, None, None, memory_mb))
    known, floats = (find_latencies(graph, number, context.recipe) for number in ("int8", "float32"))
    if known.table is not None and floats.table is not None:
        predicted_ms = Predictor(floats.table).predict(graph).total_ms
        reference_ms = context.staging.decide("reference_ms", lambda: predicted_ms)
        note = f"What channels cost comes from {known.source}."
        return _Bounds(known.table, budgets(graph, pruning, known.table, reference_ms, memory_mb), (note,))
    table = measure_table(graph, Target("int8"), context.progress, quick=True, checks=0, folder=context.cache)
    reference = float_tflite(context.original, context)
    reference_ms = context.staging.decide("reference_ms", lambda: file_milliseconds(reference))
    wanted = budgets(graph, pruning, table, reference_ms, memory_mb, measure=int8_milliseconds(context.cache))
    return _Bounds(table, wanted, tuple(note for note in (known.note or floats.note,) if note))


def _describe(bounds: _Bounds) -> dict[str, Any]:
    by_name = {budget.name: budget.bound for budget in bounds.wanted}
    return dataclasses.asdict(BudgetDecision(by_name, bounds.table, bounds.notes))


def _steps(work: _Work, wanted: Callable[[], Sequence[Budget]], table: LatencyTable | None) -> PruningResult:
    """Cut and fine-tune until the budgets are met or too much is lost; return the last good network.

    Before the last step a network is fine-tuned only a little, so the next step starts from it whatever it has lost. The
    estimate of the loss decides what is kept: with few patients hardly any step would be shown to be within the limit.
    """
    float_dice = mean_dice(work.float_scores)
    good = current = _Candidate(work.context.original, PruningPlan(), 0.0)
    done: list[PruningStep] = []
    ahead = [(number + 1) / work.pruning.steps for number in range(work.pruning.steps)]
    retries = work.pruning.retries
    while ahead:
        share, *later = ahead
        epochs = _epochs(work, last=not later)
        current, step = _cut(work, current, wanted, share, epochs, len(done))
        within = 100 * (float_dice - step.dice) <= work.context.recipe.max_drop
        kept = work.context.staging.part(f"prune{len(done)}").decide("kept", partial(bool, within))
        done.append(dataclasses.replace(step, kept=kept))
        good = current if kept else good
        if not (later or kept) and retries:
            retries, later, current = retries - 1, [(good.share + share) / 2], good
        ahead = later
    sentences = pruning_notes(done, work.pruning, work.context.recipe.max_drop, float_dice)
    before, after = fold_batch_norm(work.context.original.graph), fold_batch_norm(good.source.graph)
    return PruningResult(good.source, tuple(done), good.plan, float_dice, before, after, table, sentences)


def _epochs(work: _Work, *, last: bool) -> int:
    """Return the epochs of fine-tuning: the recipe's gradient steps, rounded up to whole epochs, at most as many as it allows.

    Before the last cut a quarter of that most is enough: on a small data set the gradient steps alone would give half as many
    epochs as after the last cut.
    """
    from u3p_edge.training.dataset import steps_per_epoch

    pruning = work.pruning
    final = (pruning.final_updates, pruning.most_epochs)
    updates, most = final if last else (pruning.updates, math.ceil(pruning.most_epochs / 4))
    return min(math.ceil(updates / steps_per_epoch(len(work.context.data.train.images), pruning.batch_size)), most)


def _cut(
    work: _Work, last: _Candidate, wanted: Callable[[], Sequence[Budget]], share: float, epochs: int, number: int
) -> tuple[_Candidate, PruningStep]:
    """Cut a network once more and fine-tune it; return it with the step's costs and scores."""
    staged = work.context.staging.part(f"prune{number}")
    stored = staged.decide("plan", lambda: _planned(work, last.source, wanted(), share))
    chosen = PruningPlan.from_json(json.dumps(stored["plan"]))
    student = to_keras(apply_plan(last.source.graph, chosen))
    cut_dice = mean_dice(_scores(work, student))
    tuned = _finetune(work, student, staged, epochs)
    staged.decide("epoch", lambda: tuned.best_epoch)
    scores = _scores(work, tuned.model)
    check = check_loss_of(scores, work.float_scores, work.context.recipe.max_drop, work.context.data.val)
    made = PruningStep(share, stored["reached"], cut_dice, mean_dice(scores), epochs, tuned.best_epoch, False, check)
    return _Candidate(_source(work.context.original, tuned.model), last.plan.then(chosen), share), made


def _planned(work: _Work, source: Source, wanted: Sequence[Budget], share: float) -> dict[str, Any]:
    """Return, as JSON values, the plan for that share of the way and what its network costs."""
    step = work.context.progress("Plan which channels to drop", 2)
    importance = score_channels(source, work.context)
    step()
    graph = fold_batch_norm(source.graph)
    if source is work.context.original:
        # Checked once, before anything is trained.
        check_reachable(graph, importance, wanted)
    planned: PlannedNetwork = plan_channels(graph, importance, [budget.at_share(share) for budget in wanted])
    step()
    return {"plan": json.loads(planned.fitted.plan.to_json()), "reached": dict(planned.reached)}


def _finetune(work: _Work, student: Any, staged: Staging, epochs: int) -> Any:
    """Fine-tune the student, from its last finished epoch on; a damaged checkpoint is dropped."""
    from u3p_edge.distill.loop import CHECKPOINT, FinetuneConfig, finetune

    config = FinetuneConfig(
        epochs=epochs,
        batch_size=work.pruning.batch_size,
        learning_rate=work.pruning.learning_rate,
        distillation=work.pruning.distillation,
        features=work.pruning.features,
        augmentation=augmentation_of(work.context.original),
        seed=work.context.recipe.seed,
        keep_epoch=staged.locked("epoch"),
    )
    again = partial(
        finetune,
        student,
        work.context.data.train,
        work.soft,
        config,
        validate=lambda model: mean_dice(_scores(work, model)),
        folder=staged.folder,
        progress=work.context.progress,
        teacher=work.context.original.model if work.pruning.features else None,
    )
    try:
        return again()
    except CheckpointError as error:
        staged.progress.note(f"{error.symptom}; the fine-tuning begins anew.")
        (staged.folder / CHECKPOINT).unlink()
        return again()


def _teacher_probabilities(context: Context) -> npt.NDArray[Any]:
    """Return the original model's probabilities of the training images: float16 [N, H, W, K]."""
    from u3p_edge.distill.loop import teacher_probabilities

    images = context.data.train.images

    def make() -> bytes:
        step = context.progress("Predict with the teacher", len(images))
        buffer = io.BytesIO()
        np.save(buffer, teacher_probabilities(context.original.model, images, step), allow_pickle=False)
        return buffer.getvalue()

    probabilities: npt.NDArray[Any] = np.load(context.staging.file("soft.npy", make), allow_pickle=False)
    return probabilities


def _scores(work: _Work, model: Any) -> Scores:
    return float_model_scores(dataclasses.replace(work.context.original, model=model), work.context.data.val)


def _source(source: Source, model: Any) -> Source:
    """Return the source with another network."""
    graph = from_keras(model)
    total = cost(graph)
    return dataclasses.replace(source, model=model, graph=graph, macs=total.total_macs, parameters=total.parameters)
