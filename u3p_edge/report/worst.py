"""The groups (patients) with the lowest Dice, by name: a mean over all of them hides the ones that a network fails."""

from __future__ import annotations

from dataclasses import dataclass

from u3p_edge.benchmark.result import ClassScores, RunResult, mean_over_classes
from u3p_edge.report.distances import distance_unit
from u3p_edge.report.headline import choose_int8

MOST = 5
"""Groups that are named."""

WORST = "The groups (patients, or images where each is a group) with the lowest mean foreground Dice of {file}, in points."


@dataclass(frozen=True)
class WorstGroup:
    """A group with a low Dice.

    Args:
        name: as in split.csv.
        dice: mean foreground Dice, 0..1, of the file.
        reference_dice: the same of the reference; None where it has none.
        surface: mean surface distance over the foreground classes, in the result's unit; None where it was not measured.
    """

    name: str
    dice: float
    reference_dice: float | None
    surface: float | None


def list_worst_groups(result: RunResult, most: int = MOST) -> tuple[WorstGroup, ...]:
    """Return the groups with the lowest Dice of the int8 file (else the reference), the lowest first.

    Empty for a result that names no groups.
    """
    file = choose_int8(result) or result.get(result.reference)
    scored = None if file is None else file.accuracy
    names = () if result.data is None else result.data.group_names
    if scored is None or len(scored.group_dice) != len(names):
        return ()
    reference = result.get(result.reference)
    before = () if reference is None or reference.accuracy is None else reference.accuracy.group_dice
    surfaces = () if scored.distances is None else scored.distances.group_surface
    rows = [
        WorstGroup(name, dice, _mean_of(before, i), _mean_of(surfaces, i))
        for i, name in enumerate(names)
        if (dice := mean_over_classes(scored.group_dice[i])) is not None
    ]
    return tuple(sorted(rows, key=lambda row: row.dice)[:most])


def worst_table(result: RunResult) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of `list_worst_groups`; no rows where there are none."""
    header = ["group", "Dice", "Dice of the reference", f"surface distance, {distance_unit(result)}"]
    return header, [
        [row.name, f"{100 * row.dice:.2f}", _cell(row.reference_dice, 100), _cell(row.surface)]
        for row in list_worst_groups(result)
    ]


def _mean_of(rows: tuple[ClassScores, ...], index: int) -> float | None:
    return mean_over_classes(rows[index]) if index < len(rows) else None


def _cell(value: float | None, factor: float = 1) -> str:
    return "–" if value is None else f"{factor * value:.2f}"
