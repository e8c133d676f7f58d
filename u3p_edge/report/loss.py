"""What each file loses against the float reference on the images of the report, with its interval."""

from __future__ import annotations

from u3p_edge.benchmark.loss_check import FEWEST_GROUPS, count_scored, describe_bounds
from u3p_edge.benchmark.result import ArtifactResult, RunResult
from u3p_edge.benchmark.statistics import Interval

POINTS_LOST = (
    "Points lost: the reference's mean Dice less the file's, with the 95 % interval of a paired bootstrap over groups; "
    f"negative where the file gains. Fewer than {FEWEST_GROUPS} groups give no interval."
)


def loss_of(result: RunResult, artifact: ArtifactResult) -> Interval | None:
    """Return the points of mean foreground Dice that a file loses against the reference; None for the reference itself.

    None, too, where either was not scored, in a result of a version that kept no Dice by group, and without any foreground.
    """
    reference = result.get(result.reference)
    if reference is None or artifact == reference or artifact.accuracy is None or reference.accuracy is None:
        return None
    return artifact.accuracy.loss_against(reference.accuracy)


def bounds_of(loss: Interval, artifact: ArtifactResult) -> str:
    """Return the bounds of a file's loss, for example "-0.05 to 0.31"; empty where there are too few groups for an interval."""
    groups = 0 if artifact.accuracy is None else count_scored(artifact.accuracy.group_scores)
    return describe_bounds(loss) if groups >= FEWEST_GROUPS else ""


def loss_cell(result: RunResult, artifact: ArtifactResult) -> str:
    """Return the cell of the table, for example "0.12 (-0.05 to 0.31)"."""
    loss = loss_of(result, artifact)
    if loss is None:
        return "–"
    bounds = bounds_of(loss, artifact)
    return f"{loss.estimate:.2f} ({bounds})" if bounds else f"{loss.estimate:.2f}"
