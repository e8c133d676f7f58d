"""The gate's check of accuracy: how much Dice fell between two runs on the same images, and what their groups show of it."""

from __future__ import annotations

from collections.abc import Iterator

from u3p_edge.benchmark.checks import Check, Outcome
from u3p_edge.benchmark.loss_check import FEWEST_GROUPS, LossVerdict, check_loss, count_scored, describe_loss
from u3p_edge.benchmark.result import Accuracy, ArtifactResult, DataInfo

OUTCOMES: dict[LossVerdict, Outcome] = {
    "shown to lose at most D": "passed",
    "not shown": "inconclusive",
    "shown to lose more": "regressed",
}


def check_accuracy(
    before: ArtifactResult, after: ArtifactResult, data: tuple[DataInfo | None, DataInfo | None], allowed: float
) -> Iterator[Check]:
    """Yield the check of a file's mean foreground Dice; nothing where neither run scored it.

    Args:
        before, after: the file in the baseline and in the current run.
        data: what each run was scored on.
        allowed: points of Dice that may be lost.
    """
    name, (old_data, new_data) = after.name, data
    if before.accuracy is None and after.accuracy is None:
        return
    if before.accuracy is None or after.accuracy is None or old_data is None or new_data is None:
        yield Check("accuracy", name, "missing", "only one of the two runs scored it")
    elif old_data.sha256 != new_data.sha256:
        yield Check("accuracy", name, "incomparable", "the two runs were scored on different images")
    else:
        outcome, reason = _compare(before.accuracy, after.accuracy, new_data.images, allowed)
        yield Check("accuracy", name, outcome, reason)


def _compare(before: Accuracy, after: Accuracy, images: int, allowed: float) -> tuple[Outcome, str]:
    """Decide by the interval of the loss; by the loss itself where a run has no Dice by group, or too few groups."""
    old, new = before.mean_dice, after.mean_dice
    if old is None or new is None:
        return "incomparable", "no foreground class is in the images"
    drop, change = 100 * (old - new), f"mean Dice {100 * old:.2f} -> {100 * new:.2f}"
    if len(before.group_dice) == len(after.group_dice) and count_scored(before.group_scores) >= FEWEST_GROUPS:
        check = check_loss(before.group_scores, after.group_scores, allowed, images)
        return OUTCOMES[check.verdict], f"{change}: {describe_loss(check)}"
    # A drop of exactly the tolerance passes; 1e-9 covers the rounding error of the subtraction.
    outcome: Outcome = "regressed" if drop > allowed + 1e-9 else "passed"
    return outcome, f"{change} ({-drop:+.2f} points, a drop of {allowed:g} is allowed)"
