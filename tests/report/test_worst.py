"""The worst groups are named, the worst first; and a busy machine and the cold start are said."""

from __future__ import annotations

import dataclasses

from tests.support.sample_results import result, with_group_dice
from u3p_edge.benchmark.cold_start import ColdStart
from u3p_edge.benchmark.conditions import Conditions
from u3p_edge.benchmark.energy import Energy
from u3p_edge.benchmark.result import Accuracy, Distances, RunResult
from u3p_edge.report.conditions import describe_rounds
from u3p_edge.report.findings import list_findings
from u3p_edge.report.markdown import render
from u3p_edge.report.start import start_table
from u3p_edge.report.worst import list_worst_groups, worst_table

NAMES = tuple(f"patient{number}" for number in range(8))


def named() -> RunResult:
    """Eight patients with Dice from 70 to 90 of the float file, of which int8 loses 1 point."""
    value = with_group_dice(result(), lost=1.0)
    assert value.data is not None
    return dataclasses.replace(value, data=dataclasses.replace(value.data, group_names=NAMES))


def test_the_groups_with_the_lowest_dice_come_first() -> None:
    worst = list_worst_groups(named(), 3)
    assert [group.name for group in worst] == ["patient0", "patient1", "patient2"]
    # A point less than 70 and than 70 + 20 / 7.
    assert [f"{group.dice:.4f}" for group in worst[:2]] == ["0.6900", "0.7186"]
    assert worst[0].reference_dice == 0.7
    assert worst_table(named())[1][0] == ["patient0", "69.00", "70.00", "–"]
    text = render(named(), worst="worst.png")
    assert "with the lowest mean foreground Dice of model.int8.tflite" in text
    assert "](worst.png)" in text


def test_a_class_that_a_group_lacks_does_not_count_and_distances_are_shown() -> None:
    value = named()
    rows = ((0.9, None, None), (0.9, 0.5, None), (0.9, 0.2, 0.9))
    distances = ((None, None, None), (None, 4.0, None), (None, 1.0, 2.0))
    means = (None, 2.5, 2.0)
    scored = Accuracy((0.9, 0.3, 0.9), (0.9, 0.3, 0.9), 0.9, Distances(means, means, distances, distances), rows)
    assert value.data is not None
    value = dataclasses.replace(
        value,
        artifacts=(value.artifacts[0], dataclasses.replace(value.artifacts[1], accuracy=scored)),
        data=dataclasses.replace(value.data, group_names=("a", "b", "c")),
    )
    worst = list_worst_groups(value)
    assert [(group.name, group.surface) for group in worst] == [("b", 4.0), ("c", 1.5)]


def test_a_result_without_names_has_no_worst_groups() -> None:
    assert list_worst_groups(with_group_dice(result(), lost=1.0)) == ()
    assert "Worst groups" not in render(with_group_dice(result(), lost=1.0))


def test_a_busy_machine_is_a_warning_and_a_quiet_one_is_none() -> None:
    busy, quiet = Conditions(1, "precision", 4.2, 0.55, 12), Conditions(2, "time", 60, 0.05, 0)
    value = dataclasses.replace(result(), conditions=(busy, quiet))
    warnings = [sentence for sentence in list_findings(value) if "busy" in sentence]
    assert warnings == list_findings(value)[:1]
    assert "timed at 1 thread, other programs used 55% of its processor time, and interrupted it 12 times" in warnings[0]
    expected = (
        "20 at 1 thread (then every ratio was as certain as asked for, 4 s), 20 at 2 threads (then the time was up, 60 s)."
    )
    assert describe_rounds(value) == f"Rounds: {expected}"
    assert "Energy was not measured" in render(value)


def test_cold_starts_are_medians_and_energy_is_shown_where_it_was_measured() -> None:
    value = result()
    assert start_table(value)[1] == []
    first, second = value.artifacts
    cold = dataclasses.replace(first, cold_start=ColdStart((1.0, 3.0, 2.0), (10.0, 20.0, 60.0)))
    header, rows = start_table(dataclasses.replace(value, artifacts=(cold, second)))
    assert rows == [["model.float32.tflite", "2.00", "20.0", "23.0"]]
    measured = dataclasses.replace(cold, energy=Energy((0.5, 0.25), 1))
    header, rows = start_table(dataclasses.replace(value, artifacts=(measured, second)))
    assert (header[-1], rows[0][-1]) == ("energy of an image, J", "0.375")
