"""The gate's check of accuracy: how much Dice fell between two runs on the same images.

A file gives the same masks for the same images, so the drop itself decides. What it says of images that nobody measured is in
the reason: the interval of the loss over the groups of both runs.
"""

from __future__ import annotations

from collections.abc import Iterator

from u3p_edge.benchmark.checks import Check, Outcome
from u3p_edge.benchmark.loss_check import describe_bounds
from u3p_edge.benchmark.result import Accuracy, ArtifactResult, DataInfo


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
        yield Check("accuracy", name, *_compare(before.accuracy, after.accuracy, allowed))


def _compare(before: Accuracy, after: Accuracy, allowed: float) -> tuple[Outcome, str]:
    old, new = before.mean_dice, after.mean_dice
    if old is None or new is None:
        return "incomparable", "no foreground class is in the images"
    drop, loss = 100 * (old - new), after.loss_against(before) if after.group_dice else None
    over_groups = f"; lost over the groups: {describe_bounds(loss)}, 95 %" if loss else ""
    # A drop of exactly the tolerance passes; 1e-9 covers the rounding error of the subtraction.
    outcome: Outcome = "regressed" if drop > allowed + 1e-9 else "passed"
    change = f"mean Dice {100 * old:.2f} -> {100 * new:.2f}"
    return outcome, f"{change} ({-drop:+.2f} points, a drop of {allowed:g} is allowed{over_groups})"
