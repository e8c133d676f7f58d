"""Where the labels of a plot's marks go, so that none covers another, a mark, or much of a line."""

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
"""What a letter is taken to be wide: as in the widest usual sans-serif fonts, on average."""

_ROUNDS = 4


def place_labels(names: Sequence[str], marks: Sequence[Spot], size: float, line: Sequence[Spot], frame: Box) -> list[Spot]:
    """The centres of the labels, each as near to its mark as there is room.

    Every label in turn takes the best of some tens of places around its mark; then all do so again, now that the others
    are there. The same arguments always give the same places.

    Args:
        names: the labels.
        marks: centres of their marks.
        size: side of the square that a mark keeps free.
        line: corners of a line of vertical and horizontal pieces, which labels had better not cross.
        frame: what labels must not leave.
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
    """What a label covers, at most."""
    return around(centre, LETTER * len(name), FONT + 2)


def around(centre: Spot, width: float, height: float) -> Box:
    """The box of that centre and size."""
    return (centre[0] - width / 2, centre[1] - height / 2, centre[0] + width / 2, centre[1] + height / 2)


def distance(box: Box, spot: Spot) -> float:
    """From a box to a spot outside it, in pixels; 0 inside."""
    return math.dist(spot, nearest(box, spot))


def nearest(box: Box, spot: Spot) -> Spot:
    """The place in a box that is nearest to a spot."""
    return min(max(spot[0], box[0]), box[2]), min(max(spot[1], box[1]), box[3])


def overlap(a: Box, b: Box) -> float:
    """Area that two boxes share, in square pixels."""
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
    """How bad a centre is: covering what is solid or leaving the frame weighs most, then being nearer to another mark."""

    def cost(centre: Spot) -> float:
        box = label_box(name, centre)
        outside = max(0.0, frame[0] - box[0], frame[1] - box[1], box[2] - frame[2], box[3] - frame[3])
        covered = sum(overlap(box, other) for other in solid)
        crossed = sum(overlap(box, other) for other in pieces)
        own = distance(box, mark)
        misread = sum(max(0.0, own + 6 - distance(box, other)) for other in marks if other != mark)
        return 10 * covered + 100 * outside + 5 * misread + crossed + 0.2 * math.dist(centre, mark)

    return cost
