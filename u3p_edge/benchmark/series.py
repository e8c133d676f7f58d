"""The figures of a history as series: one for each machine, file and figure, from commit to commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from u3p_edge.benchmark.change_points import ChangePoint, find_change_points
from u3p_edge.benchmark.figures import Figure
from u3p_edge.benchmark.history import HistoryEntry


@dataclass(frozen=True)
class Series:
    """One figure of one file on one kind of machine.

    Args:
        positions: of its commits among all those of the machine, ascending.
        figures: at each of these commits, all of one file and title.
        changes: where its level changes; an index counts its own figures.
    """

    positions: tuple[int, ...]
    figures: tuple[Figure, ...]
    changes: tuple[ChangePoint, ...] = ()

    @property
    def last(self) -> Figure:
        """The figure of the newest commit that has it."""
        return self.figures[-1]

    def is_worse(self, change: ChangePoint) -> bool:
        """Return whether a change is for the worse."""
        return (change.after < change.before) == self.last.more_is_better


@dataclass(frozen=True)
class MachineTrend:
    """All series of one kind of machine.

    Args:
        entries: of its commits, the oldest first.
        series: by the title of the figure, then by file.
    """

    entries: tuple[HistoryEntry, ...]
    series: tuple[Series, ...]


def follow_figures(entries: Sequence[HistoryEntry], smallest: float = 0.0) -> tuple[MachineTrend, ...]:
    """Return the series of each kind of machine, with the points at which their levels change.

    Figures of two kinds of machines, or of another reference or other data, are never in one series.

    Args:
        entries: the oldest first.
        smallest: a change of a smaller share of the level is not one.
    """
    machines: dict[str, list[HistoryEntry]] = {}
    for entry in entries:
        machines.setdefault(entry.machine, []).append(entry)
    return tuple(MachineTrend(tuple(members), _list_series(members, smallest)) for members in machines.values())


def _list_series(entries: Sequence[HistoryEntry], smallest: float) -> tuple[Series, ...]:
    points: dict[tuple[str, str], list[tuple[int, Figure]]] = {}
    for position, entry in enumerate(entries):
        for figure in entry.figures:
            points.setdefault((figure.title, figure.file), []).append((position, figure))
    return tuple(_follow(members, smallest) for _, members in sorted(points.items()))


def _follow(points: Sequence[tuple[int, Figure]], smallest: float) -> Series:
    positions, figures = zip(*points, strict=True)
    return Series(positions, figures, find_change_points([figure.value for figure in figures], smallest))
