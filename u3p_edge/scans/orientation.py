"""Cut a volume of any orientation into slices as a radiologist sees them, and put labels of slices back.

Axes of the file are permuted and flipped, nothing is resampled. A tilted volume is cut along the axis that is nearest to the
wanted one. Slices and their rows and columns run as DICOM's do (PS3.3 C.7.6.2.1.1: x to the left, y to the back):

    axial      slices from foot to head     rows from front to back    columns from the patient's right to left
    coronal    slices from front to back    rows from head to foot     columns from the patient's right to left
    sagittal   slices from right to left    rows from head to foot     columns from front to back
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.config.metadata import Axis
from u3p_edge.errors import DataError
from u3p_edge.scans.volume import Affine, Voxels

DIRECTIONS: Mapping[Axis, tuple[str, str, str]] = MappingProxyType(
    {"axial": ("S", "P", "L"), "coronal": ("P", "I", "L"), "sagittal": ("L", "I", "P")}
)
"""Where slices, rows and columns run to: Superior or Inferior, Anterior or Posterior, Left or Right."""

Turn = npt.NDArray[Any]
"""As nibabel has it: float [3, 2], for each axis of a file its place among (slice, row, column), and 1, or -1 to flip it."""


def slice_turn(affine: Affine, axis: Axis) -> Turn:
    """Return the permutation and flips that turn the axes of a file into slice, row and column.

    Args:
        affine: float64 [4, 4], from the file's voxels to millimetres, RAS+.
        axis: of the slices.

    Raises:
        DataError: an affine that has no directions: it is not finite, or its axes do not span the space.
    """
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    if not np.isfinite(affine).all() or not abs(np.linalg.det(affine[:3, :3])) > 0:
        raise DataError("its affine has no three directions", mend="Write its orientation (sform or qform) anew.")
    turn: Turn = ornt_transform(io_orientation(affine), axcodes2ornt(DIRECTIONS[axis]))
    return turn


def to_slices(voxels: Voxels, affine: Affine, turn: Turn) -> tuple[Voxels, Affine]:
    """Return voxels [i, j, k] or [i, j, k, channels] of a file as [slices, H, W] or [slices, H, W, channels], and their affine.

    The voxels are a view.
    """
    from nibabel.orientations import apply_orientation, inv_ornt_aff

    turned: Voxels = apply_orientation(voxels, turn)
    return turned, np.asarray(affine @ inv_ornt_aff(turn, voxels.shape[:3]), np.float64)


def from_slices(slices: Voxels, turn: Turn) -> Voxels:
    """Return voxels [slices, H, W] in the order of the file's axes [i, j, k]: the inverse of `to_slices`."""
    from nibabel.orientations import apply_orientation

    back = np.empty_like(turn)
    for axis, (position, flip) in enumerate(turn):
        back[int(position)] = axis, flip
    restored: Voxels = apply_orientation(slices, back)
    return restored
