"""Does a network lose at most the Dice that it may lose, and do the images suffice to say so?

This is a test of non-inferiority with the allowed loss D as its margin, by the 95 % interval of the loss: "shown" is said only
where the whole interval lies on one side of D. "Not shown" blames the number of patients, not the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from u3p_edge.benchmark.paired import estimate_loss
from u3p_edge.benchmark.statistics import Interval, samples_to_decide
from u3p_edge.metrics import Scores

LossVerdict = Literal["shown to lose at most D", "not shown", "shown to lose more"]

FEWEST_GROUPS = 6
"""Fewer groups show nothing. If the loss were exactly at its limit, n groups would all lie on the same side of it by chance in
one of 2^n cases (sign test). Each end of a 95 % interval leaves out 2.5 %, and 2^-6 = 1.6 % is the first that is less."""


@dataclass(frozen=True)
class LossCheck:
    """The Dice that a network loses against the original float model on the validation split, and what that shows.

    Args:
        verdict: "shown to lose at most D": the interval's upper bound is at most D. "shown to lose more": its lower bound is
            above D. "not shown": D lies between them, or there are too few groups.
        allowed: D, the points of mean foreground Dice that it may lose.
        loss: the points that it loses, with the 95 % interval of a paired bootstrap over groups; negative for a gain. None if
            no image has a foreground class.
        groups: number of groups (patients) with a foreground class.
        images: number of images.
    """

    verdict: LossVerdict
    allowed: float
    loss: Interval | None
    groups: int
    images: int


def check_loss(reference: Scores, scores: Scores, allowed: float, images: int) -> LossCheck:
    """Return the check of a network against the float model.

    Args:
        reference, scores: Dice of each group and class, float64 [G, labels], as `estimate_loss` takes them.
        allowed: points that may be lost.
        images: number of images that the scores are of.
    """
    loss, groups = estimate_loss(reference, scores), count_scored(reference)
    return LossCheck(judge_loss(loss, groups, allowed), allowed, loss, groups, images)


def judge_loss(loss: Interval | None, groups: int, allowed: float) -> LossVerdict:
    """Return what an interval from so many groups shows of a loss.

    >>> [judge_loss(Interval(0.2, 0.0, 0.4), 20, allowed) for allowed in (0.5, 0.4, 0.1, -0.1)]
    ['shown to lose at most D', 'shown to lose at most D', 'not shown', 'shown to lose more']
    """
    if loss is None or groups < FEWEST_GROUPS:
        return "not shown"
    if loss.high <= allowed:
        return "shown to lose at most D"
    return "shown to lose more" if loss.low > allowed else "not shown"


def count_scored(scores: Scores) -> int:
    """Count the groups that a foreground class has a score for: float64 [G, labels], NaN where there is none."""
    return int((~np.isnan(scores[:, 1:])).any(axis=1).sum())


def describe_verdict(check: LossCheck) -> str:
    """Put the verdict into words that name the allowed points, for example "not shown to lose at most 0.5 points"."""
    allowed = f"{check.allowed:g} point{'' if check.allowed == 1 else 's'}"
    words: dict[LossVerdict, str] = {
        "shown to lose at most D": f"shown to lose at most {allowed}",
        "not shown": f"not shown to lose at most {allowed}",
        "shown to lose more": f"shown to lose more than {allowed}",
    }
    return words[check.verdict]


def describe_loss(check: LossCheck) -> str:
    """Return the loss, its interval and the verdict in words.

    >>> describe_loss(LossCheck("not shown", 0.5, Interval(0.1, -0.25, 0.6), 12, 40))
    'lost 0.10 points (95 % -0.25 to 0.60), not shown to lose at most 0.5 points'
    >>> describe_loss(LossCheck("shown to lose at most D", 0.5, Interval(-1.8, -2.2, -1.4), 12, 40))
    'gained 1.80 points (95 % 1.40 to 2.20), shown to lose at most 0.5 points'
    """
    if check.loss is None:
        return f"no image has a foreground class, {describe_verdict(check)}"
    words, loss = lost_or_gained(check.loss.estimate), check.loss
    change = Interval(-loss.estimate, -loss.high, -loss.low) if words.startswith("gained") else loss
    return f"{words} (95 % {describe_bounds(change)}), {describe_verdict(check)}"


def describe_bounds(change: Interval) -> str:
    """Return the bounds of a change in points, for example "-0.05 to 0.31"."""
    return f"{change.low:.2f} to {change.high:.2f}"


def explain_mend(check: LossCheck) -> str:
    """Return one sentence on what would help where a loss is not shown to be within its limit."""
    if check.loss is None or check.groups < FEWEST_GROUPS:
        return (
            f"The validation split has {check.groups} group{'' if check.groups == 1 else 's'} (patients) with a foreground "
            f"class, and fewer than {FEWEST_GROUPS} show nothing: add patients to it."
        )
    if check.loss.estimate > check.allowed:
        return "More training or less pruning may lower the loss; a larger --max-drop allows it."
    wanted = samples_to_decide(check.groups, check.loss, check.allowed)
    more = "" if wanted is None else f", about {wanted} would do if the loss stays the same"
    return (
        f"More validation patients narrow the interval ({check.groups} now{more}); or train more, or allow a larger --max-drop."
    )


def lost_or_gained(loss: float) -> str:
    """Put a loss of Dice into words, for example "lost 0.30 points"; negative is a gain, "gained 0.30 points"."""
    return f"gained {-loss:.2f} points" if round(loss, 2) < 0 else f"lost {abs(loss):.2f} points"
