"""How a data folder is read."""

from __future__ import annotations

from dataclasses import dataclass

from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.data.labels import AS_STORED, LabelRule


@dataclass(frozen=True)
class DataOptions:
    """How the groups, splits and labels of a data folder are decided, and which files are refused.

    Args:
        seed: of the split that is drawn when there is no split.csv (or it has groups but no splits).
        group_column: of split.csv; None looks for a usual one (patient, subject, case, volume, ...).
        rule: what the values of masks mean.
        max_pixels: height x width that an image or mask may have.
    """

    seed: int = 0
    group_column: str | None = None
    rule: LabelRule = AS_STORED
    max_pixels: int = MAX_PIXELS


DEFAULTS = DataOptions()
