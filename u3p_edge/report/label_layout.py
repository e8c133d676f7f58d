"""Place the labels of a plot's marks so that none covers another label, a mark, or much of a line."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

Spot = tuple[float, float]
"""(x, y) in pixels, y downwards."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

FONT = 12.0
"""Height of the labels' font, in pixels."""

LETTER = 0.6 * FONT
"""Assumed width of a letter, in pixels: the average of the widest common sans-serif fonts."""

_ROUNDS = 4


def place_labels(names: Sequence[str], marks: Sequence[Spot], size: float, line: Sequence[Spot], frame: Box) -> list[Spot]:
    """Return the centres of the labels, each as close to its mark as there is room.

    Each label in turn takes the best of some tens of positions around its mark. This is repeated, now with the other labels in
    place. The same arguments always give the same positions.

    Args:
        names: the labels.
        marks: centres of their marks.
        size: side of the square around a mark that stays free.
        line: corners of a line of vertical and horizontal pieces, which labels should avoid crossing.
        frame: the box that labels should stay inside.
    """
    squares = [around(mark, size, size) for mark in marks]
    pieces = [(min(a[0], b[0]), min(a[1], b[1]) - 1, max(a[0], b[0]) + 1, max(a[1], b[1]) + 1) for a, b in pairwise(line)]
    placed: dict[int, Spot] = {}
    for _ in range(_ROUNDS):
        for i, name in enumerate(names):
            others = [label_box(names[j], placed[j]) for j in placed if j != i]
            cost = _crowding(name, marks[i], marks, [*squares, *others], pieces, frame)
            placed[i] = min(_candidates(name, marks[i]), key=cost)
    return [placed[i] for i in range(len(names))]


def label_box(name: str, centre: Spot) -> Box:
    """Return the box that a label covers at most."""
    return around(centre, LETTER * len(name), FONT + 2)


def around(centre: Spot, width: float, height: float) -> Box:
    """Return the box with that centre and size."""
    return (centre[0] - width / 2, centre[1] - height / 2, centre[0] + width / 2, centre[1] + height / 2)


def distance(box: Box, spot: Spot) -> float:
    """Return the distance from a box to a spot outside it, in pixels; 0 inside."""
    return math.dist(spot, nearest(box, spot))


def nearest(box: Box, spot: Spot) -> Spot:
    """Return the point of a box that is nearest to a spot."""
    return min(max(spot[0], box[0]), box[2]), min(max(spot[1], box[1]), box[3])


def overlap(a: Box, b: Box) -> float:
    """Return the area that two boxes share, in square pixels."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


def _candidates(name: str, mark: Spot) -> Iterator[Spot]:
    (x, y), half = mark, LETTER * len(name) / 2
    for away in (12.0, 24.0, 40.0, 58.0, 78.0, 100.0):
        yield x + away + half, y
        yield x - away - half, y
        for down in (-1, 1):
            for aside in (0.0, half / 2, -half / 2, half + 4, -half - 4):
                yield x + aside, y + down * (away + 4)


def _crowding(
    name: str, mark: Spot, marks: Sequence[Spot], solid: Sequence[Box], pieces: Sequence[Box], frame: Box
) -> Callable[[Spot], float]:
    """Return the cost of a centre: leaving the frame or covering a solid box weighs most, then being close to another mark."""

    def cost(centre: Spot) -> float:
        box = label_box(name, centre)
        outside = max(0.0, frame[0] - box[0], frame[1] - box[1], box[2] - frame[2], box[3] - frame[3])
        covered = sum(overlap(box, other) for other in solid)
        crossed = sum(overlap(box, other) for other in pieces)
        own = distance(box, mark)
        misread = sum(max(0.0, own + 6 - distance(box, other)) for other in marks if other != mark)
        return 10 * covered + 100 * outside + 5 * misread + crossed + 0.2 * math.dist(centre, mark)

    return cost
