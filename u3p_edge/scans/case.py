"""One scan of a data set, read only when it is needed, and all that a source says of its scans."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from u3p_edge.scans.volume import Volume, Voxels


@dataclass(frozen=True)
class LabelledVolume:
    """A volume and its labels.

    Args:
        volume: the image.
        labels: uint8 or uint16 [slices, H, W]; None where there are none.
    """

    volume: Volume
    labels: Voxels | None = None


@dataclass(frozen=True)
class Case:
    """One scan.

    Args:
        name: its slices are files of this name and the slice's number.
        patient: whose scan it is; no patient is in two splits.
        labelled: whether it has labels.
        read: reads it; raises DataError that names the file.
        split: "train", "val" or "test"; empty where the source does not say.
    """

    name: str
    patient: str
    labelled: bool
    read: Callable[[], LabelledVolume]
    split: str = ""


@dataclass(frozen=True)
class CaseList:
    """The scans of a source, and what it says of all of them.

    Args:
        cases: in order.
        class_names: one for each label, background first; empty where the source does not say.
        license: of the images, as the source records it.
        notes: what a user should know, one sentence each.
        multi_label: labels are sets of classes that may overlap (`u3p_edge.label_values`).
    """

    cases: tuple[Case, ...]
    class_names: tuple[str, ...] = ()
    license: str = ""
    notes: tuple[str, ...] = ()
    multi_label: bool = False
