"""Splits: train, val and test. They are drawn by a seed so that a group is never split across sets."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping

SPLITS = ("train", "val", "test")

HELD_OUT = 0.15
"""Share of the groups that goes into val, and again into test, when there is no split.csv."""


def find_leaks(assigned: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return a sentence for each group that is in more than one split, from pairs (group, split)."""
    seen: dict[str, set[str]] = defaultdict(set)
    for group, split in assigned:
        seen[group].add(split)
    return tuple(
        f"the group {group!r} is in several splits ({', '.join(s for s in SPLITS if s in splits)})"
        for group, splits in seen.items()
        if len(splits) > 1
    )


def draw_splits(groups: Iterable[str], seed: int) -> Mapping[str, str]:
    """Draw the split of each group: 70 / 15 / 15 percent of the groups, at least one group each when there are three.

    The order is by a hash of seed and name, so it is the same on every machine and with every NumPy.

    >>> draw_splits(["anna", "ben", "carl"], seed=0)
    {'anna': 'val', 'carl': 'test', 'ben': 'train'}
    """

    def key(group: str) -> str:
        return hashlib.sha256(f"{seed}/{group}".encode()).hexdigest()

    order = sorted(set(groups), key=key)
    held = max(1, round(HELD_OUT * len(order)))
    val = held if len(order) > 1 else 0
    test = held if len(order) > 2 else 0
    return {g: "val" if i < val else "test" if i < val + test else "train" for i, g in enumerate(order)}
