"""Successive halving: train all candidates a little, drop the worse half, train the others twice as long, until one is left.

Jamieson and Talwalkar 2016 (arXiv:1502.07943). Every rung costs about the same, so of R rungs the last two candidates get half
of 2/R of all training, and a poor candidate costs little.

A time limit must not make the choice depend on how busy a machine is. So it is compared with nominal seconds, which follow from
arithmetic alone: the same limit admits the same candidates and epochs everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from u3p_edge.benchmark.paired import estimate_loss
from u3p_edge.graph.ir import Graph
from u3p_edge.metrics import Scores, mean_over_foreground

SECONDS_PER_ELEMENT = 1e-8
"""Nominal seconds of training for one element of a feature map of one image. On two cores of a server it was 0.8e-8 for a
UNet 3+ of base width 16 and twice that for one of base width 4: with few channels, maps cost more than products."""

SECONDS_TO_START = 10.0
"""Nominal seconds until a network is built and its first step is compiled, or its channels are scored: measured likewise."""

PLANNING = 0.25
"""The share of a time limit that is for pruning the candidates; the rest is for training them."""

NORMAL = 1.96
"""Standard errors from an estimate to either bound of a 95 % interval, where the estimate is normally distributed."""


@dataclass(frozen=True)
class Rung:
    """One round of the competition.

    Args:
        candidates: that train in it.
        epochs: of training, for each of them.
    """

    candidates: int
    epochs: int


@dataclass(frozen=True)
class Schedule:
    """What a time limit admits.

    Args:
        rungs: in order; none for a single candidate.
        candidates: how many compete, the first of the list.
        seconds: nominal, if the costliest candidates win every rung.
    """

    rungs: tuple[Rung, ...]
    candidates: int
    seconds: float


@dataclass(frozen=True)
class Scored:
    """A candidate after a rung.

    Args:
        scores: Dice on the validation split by group and class, float64 [G, labels].
        weights: numbers that it stores.
    """

    scores: Scores
    weights: int


def plan_rungs(candidates: int, epochs: int) -> tuple[Rung, ...]:
    """Return the rungs from so many candidates down to one: the first trains `epochs`, each further one twice as long.

    >>> plan_rungs(5, 2)
    (Rung(candidates=5, epochs=2), Rung(candidates=3, epochs=4), Rung(candidates=2, epochs=8))
    """
    rungs = []
    while candidates > 1:
        rungs.append(Rung(candidates, epochs))
        candidates, epochs = math.ceil(candidates / 2), 2 * epochs
    return tuple(rungs)


def nominal_seconds(graph: Graph, images: int) -> float:
    """Return the nominal seconds in which a network of fixed input size sees so many images in training."""
    return SECONDS_PER_ELEMENT * images * sum(math.prod(shape) for shape in graph.shapes.values())


def count_planned(candidates: int, each: float, limit: float) -> int:
    """Return how many candidates are pruned, at least one.

    Args:
        candidates: that there are.
        each: nominal seconds to score and prune one.
        limit: nominal seconds of the whole search.
    """
    return max(1, min(candidates, int(PLANNING * limit / each)))


def schedule_rungs(epoch_seconds: Sequence[float], limit: float, most_epochs: int) -> Schedule:
    """Return the rungs that fit into a time limit: as many candidates as possible, then as many epochs.

    Args:
        epoch_seconds: nominal, of one epoch of each candidate; the first of the list compete if not all can.
        limit: nominal seconds of all rungs.
        most_epochs: of the last rung, if the first then still has one.
    """
    count = len(epoch_seconds)
    while count > 1 and _seconds(plan_rungs(count, 1), epoch_seconds[:count]) > limit:
        count -= 1
    halvings = max(len(plan_rungs(count, 1)) - 1, 0)
    epochs = max(1, most_epochs >> halvings)
    while epochs > 1 and _seconds(plan_rungs(count, epochs), epoch_seconds[:count]) > limit:
        epochs -= 1
    rungs = plan_rungs(count, epochs)
    return Schedule(rungs, count, _seconds(rungs, epoch_seconds[:count]))


def rank_candidates(scored: Sequence[Scored]) -> tuple[int, ...]:
    """Return the indices of candidates from the best to the worst, by mean foreground Dice.

    Candidates that lose no more than one standard error against the best count as equal to it, and the one with the fewest
    weights goes first (the one-standard-error rule, Breiman et al. 1984). The error is that of the paired difference over the
    groups of the validation split. So noise does not decide.
    """
    dice = [_mean(each.scores) for each in scored]
    best = scored[dice.index(max(dice))]

    def key(index: int) -> tuple[bool, float, int]:
        equal = _is_equal(best.scores, scored[index].scores)
        return not equal, scored[index].weights if equal else -dice[index], index

    return tuple(sorted(range(len(scored)), key=key))


def _is_equal(best: Scores, other: Scores) -> bool:
    """Return whether one network loses at most a standard error against another one."""
    loss = estimate_loss(best, other)
    return loss is None or loss.estimate <= (loss.high - loss.low) / (2 * NORMAL)


def _mean(scores: Scores) -> float:
    mean = float(mean_over_foreground(scores))
    return -math.inf if math.isnan(mean) else mean


def _seconds(rungs: Sequence[Rung], epoch_seconds: Sequence[float]) -> float:
    """Return the nominal seconds of all rungs if the costliest candidates go through them."""
    costliest = sorted(epoch_seconds, reverse=True)
    return sum(rung.candidates * SECONDS_TO_START + rung.epochs * sum(costliest[: rung.candidates]) for rung in rungs)
