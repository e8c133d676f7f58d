"""The gate decides on the drop of Dice on the same images."""

from __future__ import annotations

import dataclasses

import pytest

from tests.support.sample_results import result, with_group_dice
from u3p_edge.benchmark.compare import Scope, compare_runs
from u3p_edge.benchmark.result import ArtifactResult

DICE = Scope(("accuracy",), ("*int8*",))


@pytest.mark.parametrize(
    ("lost", "spread", "outcome", "words"),
    [
        (0.05, 0, "passed", "(-0.05 points, a drop of 0.1 is allowed; lost over the groups: 0.05 to 0.05, 95 %)"),
        (0.05, 1, "passed", "-0.05 points, a drop of 0.1 is allowed"),
        (0.5, 1, "regressed", "-0.50 points"),
        (-2, 1, "passed", "+2.00 points"),
    ],
)
def test_the_drop_on_the_same_images_decides_and_its_interval_is_said(
    lost: float, spread: float, outcome: str, words: str
) -> None:
    verdict = compare_runs(with_group_dice(result(), lost=0), with_group_dice(result(), lost=lost, spread=spread), scope=DICE)
    assert [check.outcome for check in verdict.checks] == [outcome]
    assert words in verdict.checks[0].reason


def test_a_run_of_an_older_version_is_compared_by_its_drop() -> None:
    def aged(a: ArtifactResult) -> ArtifactResult:
        return dataclasses.replace(a, accuracy=a.accuracy and dataclasses.replace(a.accuracy, group_dice=()))

    new = with_group_dice(result(), lost=0)
    old = dataclasses.replace(new, artifacts=tuple(map(aged, new.artifacts)))
    assert compare_runs(old, new, scope=Scope(("accuracy",))).outcome == "passed"
