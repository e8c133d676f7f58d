"""Find the shape that pruning starts from: the recipe names it, or a search finds it.

list of shapes ─ prune each to the budgets, untrained ─ drop those that cannot ─► candidates
candidates ─ rung: train a little, rank on the validation split, drop the worse half, double the epochs ─► the shape

Channels within a shape are chosen by importance, and milliseconds come from the latency table. So blocks and channels are
searched together under a latency bound, as in Sun et al. 2025 (MDP, arXiv:2504.02168). The rungs take the place of their
integer program: a UNet 3+ has few shapes, and what a shape is worth after training shows only by training.

The winner's short training is not used: the recipe prunes and trains its shape from the start. So a replay by a lock, which has
the shape, trains nothing of the search.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial

from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.pipeline.budgets import Budget
from u3p_edge.pipeline.halving import (
    SECONDS_TO_START,
    Rung,
    Scored,
    count_planned,
    nominal_seconds,
    rank_candidates,
    schedule_rungs,
)
from u3p_edge.pipeline.prune_step import PrunedNetwork, Training, Work, count_epochs, finetune_student, with_model
from u3p_edge.pipeline.search_candidates import OneBar, ShapeCandidate, order_shapes, prune_shapes
from u3p_edge.pipeline.search_decision import SearchDecision, SearchedShape
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import Staging
from u3p_edge.pipeline.validation import mean_dice
from u3p_edge.shapes.apply import apply_shape, list_shapes
from u3p_edge.shapes.shape import Shape, find_shape

FOLDER = "search"
"""Of the staging folder: what the search keeps."""

LATE = "the time limit admits no more shapes"
"""Why a shape does not compete although it may keep to the budgets."""


@dataclass(frozen=True)
class StartNetwork:
    """The network that pruning starts from.

    Args:
        network: unpruned.
        shape: of the network.
        search: that found it; None where nothing was searched.
        notes: where the shape comes from, in sentences.
    """

    network: PrunedNetwork
    shape: Shape = field(default_factory=Shape)
    search: SearchDecision | None = None
    notes: tuple[str, ...] = ()


def find_start(work: Work, wanted: Callable[[], Sequence[Budget]]) -> StartNetwork:
    """Return the original network in the shape that the recipe names, or in the one that a search finds, or as it is.

    Args:
        work: of the export.
        wanted: returns the budgets; called only where nothing is decided yet.

    Raises:
        ConfigError: no shape has the name that the recipe gives, or none keeps to the budgets.
    """
    if work.pruning.shape:
        return take_shape(work.context.original, find_shape(work.pruning.shape))
    if work.pruning.search:
        return _search_start(work, wanted)
    return StartNetwork(PrunedNetwork(work.context.original))


def take_shape(original: Source, shape: Shape) -> StartNetwork:
    """Return the original network in a shape, or as it is where it cannot take it; the notes say so."""
    try:
        shaped = _shaped(original, shape)
    except ModelError as error:
        note = f"The network stays in its own shape: {error.symptom}."
        return StartNetwork(PrunedNetwork(original), notes=(note,))
    return StartNetwork(PrunedNetwork(shaped), shape, notes=(f"Shape: {shape.name}.",))


def _search_start(work: Work, wanted: Callable[[], Sequence[Budget]]) -> StartNetwork:
    original, staging = work.context.original, work.context.staging
    build = partial(apply_shape, original.graph, training=original.training_graph)
    shapes = list_shapes(original.graph)
    decided = from_dict(SearchDecision, staging.decide("search", lambda: asdict(choose_shape(work, wanted(), shapes, build))))
    return StartNetwork(PrunedNetwork(_shaped(original, decided.shape)), decided.shape, decided, decided.notes)


def _shaped(original: Source, shape: Shape) -> Source:
    return with_model(original, to_keras(apply_shape(original.graph, shape, original.training_graph)))


def choose_shape(
    work: Work, wanted: Sequence[Budget], shapes: Sequence[Shape], build: Callable[[Shape], Graph]
) -> SearchDecision:
    """Return the shape that is best within the budgets, and what became of every other.

    The same table, model, data and recipe give the same choice. Every plan and finished epoch is kept in the staging folder.

    Args:
        work: of the export.
        wanted: the budgets.
        shapes: the simplest first. Where the time limit does not admit all, those compete that need the least pruning.
        build: returns the original network in a shape.

    Raises:
        ConfigError: no shape keeps to the budgets.
    """
    limit, images = 60 * work.pruning.search_minutes, len(work.context.data.train.images)
    scored = work.context.recipe.quantization.calibration_images
    each = SECONDS_TO_START + nominal_seconds(work.context.original.graph, scored)
    count, staging = count_planned(len(shapes), each, limit), work.context.staging.part(FOLDER)
    if count < len(shapes):
        shapes = order_shapes(wanted[0], shapes, build)
    pruned = prune_shapes(work, wanted, shapes[:count], build, staging)
    candidates = [one for one in pruned if isinstance(one, ShapeCandidate)]
    if not candidates:
        reasons = "; ".join(dict.fromkeys(one.reason for one in pruned if isinstance(one, SearchedShape)))
        raise ConfigError(
            f"no shape of this network keeps to the budgets: {reasons}",
            mend="Ask for less: a smaller speed-up, or a larger budget.",
        )
    seconds = [nominal_seconds(one.graph, images) for one in candidates]
    schedule = schedule_rungs(seconds, limit - count * each, count_epochs(work, last=True))
    dice, winner = _compete(work, candidates[: schedule.candidates], schedule.rungs, staging)
    reported = [_report(one, dice) for one in pruned] + [SearchedShape(one.name, reason=LATE) for one in shapes[count:]]
    return SearchDecision(winner.shape, tuple(reported), schedule.rungs)


def _compete(
    work: Work, candidates: Sequence[ShapeCandidate], rungs: Sequence[Rung], staging: Staging
) -> tuple[dict[int, tuple[float, ...]], ShapeCandidate]:
    """Train and drop candidates rung by rung; return the Dice of each after its rungs, by its number, and the last one."""
    left, dice = list(candidates), {one.number: tuple[float, ...]() for one in candidates}
    for number, rung in enumerate(rungs):
        bar = _bar(work, f"Search: rung {number + 1} of {len(rungs)}, {rung.candidates} shapes", rung)
        trained = [_train(work, one, rung, staging.part(f"{one.number}-{number}"), bar) for one in left]
        scored = [each for _, each in trained]
        dice |= {one.number: (*dice[one.number], mean_dice(each.scores)) for one, each in trained}
        kept = rank_candidates(scored)[: math.ceil(len(left) / 2)]
        left = [trained[index][0] for index in sorted(kept)]
    return dice, left[0]


def _train(work: Work, candidate: ShapeCandidate, rung: Rung, staging: Staging, bar: OneBar) -> tuple[ShapeCandidate, Scored]:
    """Train a candidate on for the epochs of a rung, and score it."""
    tuned = finetune_student(work, to_keras(candidate.graph), Training(rung.epochs, staging, bar))
    scored = Scored(work.scores(tuned.model), candidate.searched.weights)
    return replace(candidate, graph=from_keras(tuned.model)), scored


def _bar(work: Work, title: str, rung: Rung) -> OneBar:
    """Return one bar for all training of a rung."""
    from u3p_edge.training.dataset import steps_per_epoch

    progress = work.context.progress
    steps = steps_per_epoch(len(work.context.data.train.images), work.pruning.batch_size)
    return OneBar(progress, progress(title, rung.candidates * rung.epochs * steps))


def _report(pruned: ShapeCandidate | SearchedShape, dice: dict[int, tuple[float, ...]]) -> SearchedShape:
    """Return what is kept of a shape that was pruned, or could not be."""
    if isinstance(pruned, SearchedShape):
        return pruned
    if pruned.number not in dice:
        return replace(pruned.searched, reason=LATE)
    return replace(pruned.searched, dice=dice[pruned.number])
