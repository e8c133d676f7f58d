"""Whether labels of a source are sets of classes, where its classes overlap."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from u3p_edge.errors import DataError
from u3p_edge.label_values import MOST_CLASSES
from u3p_edge.scans.options import ScanOptions


def keeps_overlap(classes: Sequence[str], options: ScanOptions, source: Path) -> bool:
    """Return whether labels are to be sets of classes (`u3p_edge.label_values`); of a single class there is nothing to overlap.

    Args:
        classes: without the background.
        options: its `overlap` decides.
        source: for the message.

    Raises:
        DataError: more classes than a set can hold.
    """
    keep = options.overlap == "keep" and len(classes) > 1
    if keep and len(classes) > MOST_CLASSES:
        raise DataError(
            f"the masks of {source} name {len(classes)} classes, more than the {MOST_CLASSES} that may overlap in one mask",
            mend="Merge some of them, or leave out --overlap keep.",
        )
    return keep
