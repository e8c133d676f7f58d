"""The gate decides on a drop of Dice by what the groups of both runs show."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.sample_results import result, with_group_dice
from u3p_edge.benchmark.compare import Scope, gate
from u3p_edge.benchmark.loss_check import FEWEST_GROUPS
from u3p_edge.benchmark.result import ArtifactResult

DICE = Scope(("accuracy",), ("*int8*",))


@pytest.mark.parametrize(
    ("lost", "spread", "outcome", "words"),
    [
        (0.05, 0, "passed", "lost 0.05 points (95 % 0.05 to 0.05), shown to lose at most 0.1 points"),
        (0.05, 1, "inconclusive", ", not shown to lose at most 0.1 points"),
        (0.5, 1, "inconclusive", ", not shown to lose at most 0.1 points"),
        (2, 1, "regressed", ", shown to lose more than 0.1 points"),
        (-2, 1, "passed", "gained 2.00 points"),
    ],
)
def test_groups_of_both_runs_decide_by_the_interval(lost: float, spread: float, outcome: str, words: str) -> None:
    # Eight groups that lose 1 point more or less: the bounds are less than 1 point from the loss, and more than 0.4.
    verdict = gate(with_group_dice(result(), lost=0), with_group_dice(result(), lost=lost, spread=spread), scope=DICE)
    assert [check.outcome for check in verdict.checks] == [outcome]
    assert words in verdict.checks[0].reason


@pytest.mark.parametrize(("lost", "outcome"), [(0.05, "passed"), (0.2, "regressed")])
def test_too_few_groups_leave_the_drop_itself_to_decide(lost: float, outcome: str) -> None:
    before, after = (with_group_dice(result(), lost=points, spread=1, groups=FEWEST_GROUPS - 2) for points in (0, lost))
    verdict = gate(before, after, scope=DICE)
    assert verdict.outcome == outcome
    assert "a drop of 0.1 is allowed" in verdict.checks[0].reason


def test_a_run_of_an_older_version_is_compared_by_its_drop() -> None:
    def aged(a: ArtifactResult) -> ArtifactResult:
        return dataclasses.replace(a, accuracy=a.accuracy and dataclasses.replace(a.accuracy, group_dice=()))

    new = with_group_dice(result(), lost=0)
    old = dataclasses.replace(new, artifacts=tuple(map(aged, new.artifacts)))
    assert gate(old, new, scope=Scope(("accuracy",))).outcome == "passed"
