"""Infer how many classes the masks of a folder have: the majority of masks decides, and an exception is reported by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from u3p_edge.data.labels import AS_STORED, HIGHEST_CLASS, LabelRule
from u3p_edge.data.masks import MAX_BELIEVED, SHOWN, Values, is_binary
from u3p_edge.errors import DataError


@dataclass(frozen=True)
class MaskValues:
    """The different values of a mask file, sorted, as they are stored."""

    path: Path
    values: Values


def count_classes(masks: Iterable[MaskValues], rule: LabelRule = AS_STORED) -> int:
    """Return the number of classes, background included: 2 if more masks are binary than have higher classes, else highest + 1.

    Where the rule gives classes to colours, these are the classes, also those that no mask has. Where classes may overlap, the
    highest bit is the last class. A few masks with values above
    `MAX_BELIEVED` among many without do not count. `masks.to_classes` then refuses them by name,
    as it does binary masks among index masks and the reverse.

    >>> from pathlib import Path
    >>> masks = [MaskValues(Path(f"{i}.png"), np.array(values)) for i, values in enumerate([[0, 1], [0, 2], [0, 255]])]
    >>> count_classes(masks)
    3
    """
    if rule.multi_label:
        return max((int(mask.values[~rule.ignored(mask.values)].max(initial=0)) for mask in masks), default=0).bit_length() + 1
    binary, highs = 0, []
    for mask in masks:
        kept = mask.values[~rule.ignored(mask.values)]
        unnamed = kept[~rule.renamed(kept)]
        classes = rule.apply(kept)
        if is_binary(unnamed):
            binary += 1
        elif classes.size and 1 < classes.max() <= HIGHEST_CLASS:
            highs.append(int(classes.max()))
    if rule.coloured_classes is not None:
        return rule.coloured_classes
    if not highs or binary > len(highs):
        return 2
    usual = [high for high in highs if high < MAX_BELIEVED]
    return max(usual if 2 * len(usual) > len(highs) else highs) + 1


def check_count(classes: int, present: Sequence[int], root: Path) -> None:
    """Refuse a number of classes that was inferred and makes no sense.

    Args:
        classes: as `count_classes` inferred it.
        present: the classes that occur in some mask, sorted.
        root: the data folder.

    Raises:
        DataError: more than `MAX_BELIEVED` classes.
    """
    if classes <= MAX_BELIEVED:
        return
    shown = ", ".join(map(str, present[:SHOWN])) + (", ..." if len(present) > SHOWN else "")
    if len(present) > MAX_BELIEVED:
        mend = "Write each pixel's class index into the masks; or give --labels if there really are so many classes."
        what = "more look like numbers of objects (instance masks) or grey levels than like classes"
    else:
        pairs = ",".join(f"{value}:{label}" for label, value in enumerate(present) if value != label)
        mend, what = f"If these are {len(present)} classes, give --map {pairs}.", "with such gaps they are no class indices"
    raise DataError(f"the masks in {root / 'masks'} hold {len(present)} different values ({shown}): {what}", mend=mend)


def distinct_values(values: Values) -> Values:
    """Return the different values, sorted."""
    return np.flatnonzero(np.bincount(values.ravel())).astype(np.uint16)
