"""One pruning step: plan which channels to drop, cut, and fine-tune by distillation from the original model."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy.typing as npt

from u3p_edge.data.disk_arrays import open_array
from u3p_edge.errors import CheckpointError
from u3p_edge.graph.cost import cost
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.metrics import Scores
from u3p_edge.pipeline.budgets import Budget, check_reachable, plan_channels
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.pruning_result import PruningStep
from u3p_edge.pipeline.score_channels import score_channels
from u3p_edge.pipeline.source import Source, augmentation_of
from u3p_edge.pipeline.staging import Staging
from u3p_edge.pipeline.validation import check_loss_of, float_model_scores, mean_dice
from u3p_edge.progress import Progress
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.pruning.plan import PruningPlan
from u3p_edge.recipes.recipe import Pruning


@dataclass(frozen=True)
class Work:
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

    def scores(self, model: Any) -> Scores:
        """Return Dice of a tf_keras model on the validation split, by group and class."""
        return float_model_scores(dataclasses.replace(self.context.original, model=model), self.context.data.val)


@dataclass(frozen=True)
class PrunedNetwork:
    """A network, its plan in channels of the network before all pruning, and its share of the way to the budgets."""

    source: Source
    plan: PruningPlan = field(default_factory=PruningPlan)
    share: float = 0.0


@dataclass(frozen=True)
class Training:
    """One fine-tuning: how long, where its checkpoint lies, which epoch is kept (None for the best), and what shows it."""

    epochs: int
    staging: Staging
    progress: Progress
    keep_epoch: int | None = None


def start_work(context: Context, pruning: Pruning) -> Work:
    """Return what all pruning steps of an export share; the original model is run on the training and validation images."""
    float_scores = float_model_scores(context.original, context.data.val)
    return Work(context, pruning, float_scores, _teacher_probabilities(context))


def take_step(
    work: Work, last: PrunedNetwork, wanted: Callable[[], Sequence[Budget]], share: float, epochs: int, number: int
) -> tuple[PrunedNetwork, PruningStep]:
    """Cut a network once more and fine-tune it; return it with the step's costs and scores.

    Args:
        work: of the export.
        last: the network to cut.
        wanted: returns the budgets; called only where a plan is made.
        share: of the way to the budgets.
        epochs: of fine-tuning.
        number: of the step, from 0.
    """
    staged = work.context.staging.part(f"prune{number}")
    stored = staged.decide("plan", lambda: _planned(work, last, wanted(), share))
    chosen = PruningPlan.from_json(json.dumps(stored["plan"]))
    student = to_keras(apply_plan(last.source.graph, chosen))
    cut_dice = mean_dice(work.scores(student))
    tuned = finetune_student(work, student, Training(epochs, staged, work.context.progress, staged.locked("epoch")))
    staged.decide("epoch", lambda: tuned.best_epoch)
    scores = work.scores(tuned.model)
    check = check_loss_of(scores, work.float_scores, work.context.recipe.max_drop, work.context.data.val)
    made = PruningStep(share, stored["reached"], cut_dice, mean_dice(scores), epochs, tuned.best_epoch, False, check)
    return PrunedNetwork(with_model(work.context.original, tuned.model), last.plan.then(chosen), share), made


def count_epochs(work: Work, *, last: bool) -> int:
    """Return the epochs of fine-tuning: the recipe's gradient steps, rounded up to whole epochs, at most as many as it allows.

    Before the last cut a quarter of that most is enough: on a small data set the gradient steps alone would give half as many
    epochs as after the last cut.
    """
    from u3p_edge.training.dataset import steps_per_epoch

    pruning = work.pruning
    final = (pruning.final_updates, pruning.most_epochs)
    updates, most = final if last else (pruning.updates, math.ceil(pruning.most_epochs / 4))
    return min(math.ceil(updates / steps_per_epoch(len(work.context.data.train.images), pruning.batch_size)), most)


def finetune_student(work: Work, student: Any, training: Training) -> Any:
    """Fine-tune a student, from its last finished epoch on; return a `FinetuneResult`. A damaged checkpoint is dropped."""
    from u3p_edge.distill.loop import CHECKPOINT, FinetuneConfig, finetune

    config = FinetuneConfig(
        epochs=training.epochs,
        batch_size=work.pruning.batch_size,
        learning_rate=work.pruning.learning_rate,
        distillation=work.pruning.distillation,
        features=work.pruning.features,
        augmentation=augmentation_of(work.context.original),
        seed=work.context.recipe.seed,
        keep_epoch=training.keep_epoch,
    )
    again = partial(
        finetune,
        student,
        work.context.data.train,
        work.soft,
        config,
        validate=lambda model: mean_dice(work.scores(model)),
        folder=training.staging.folder,
        progress=training.progress,
        teacher=work.context.original.model if work.pruning.features else None,
    )
    try:
        return again()
    except CheckpointError as error:
        training.staging.progress.note(f"{error.symptom}; the fine-tuning begins anew.")
        (training.staging.folder / CHECKPOINT).unlink()
        return again()


def with_model(source: Source, model: Any) -> Source:
    """Return the source with another network, a tf_keras model of the same input and mask."""
    graph = from_keras(model)
    total = cost(graph)
    return dataclasses.replace(source, model=model, graph=graph, macs=total.total_macs, parameters=total.parameters)


def _planned(work: Work, last: PrunedNetwork, wanted: Sequence[Budget], share: float) -> dict[str, Any]:
    """Return, as JSON values, the plan for that share of the way and what its network costs."""
    step = work.context.progress("Plan which channels to drop", 2)
    importance = score_channels(last.source, work.context)
    step()
    graph = fold_batch_norm(last.source.graph)
    if last.share == 0:
        # Checked once, before anything is trained.
        check_reachable(graph, importance, wanted)
    planned = plan_channels(graph, importance, [budget.at_share(share) for budget in wanted])
    step()
    return planned.to_plain()


def _teacher_probabilities(context: Context) -> npt.NDArray[Any]:
    """Return the original model's probabilities of the training images: float16 [N, H, W, K]."""
    from u3p_edge.distill.loop import teacher_probabilities

    images = context.data.train.images

    def make() -> npt.NDArray[Any]:
        return teacher_probabilities(context.original.model, images, context.progress("Predict with the teacher", len(images)))

    return open_array(context.staging.array("soft.npy", make))
