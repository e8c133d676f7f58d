"""A stack of parallel slices, and where it lies in the patient."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.config.metadata import Axis
from u3p_edge.data.memory import available_bytes
from u3p_edge.errors import DataError

Voxels = npt.NDArray[Any]
Affine = npt.NDArray[np.float64]

SAME_PLACE = 0.1
"""Share of a voxel's shortest side by which two grids may differ. Rounding an affine to float32 moves a corner of 1000 voxels
by less than a thousandth of a voxel; half a voxel is the least that a mistake (a shifted origin, another spacing) moves it."""


@dataclass(frozen=True)
class Volume:
    """A stack of parallel slices.

    Args:
        voxels: [slices, H, W], or [slices, H, W, channels]: uint8, uint16, int16, ... or float32, after any rescaling.
        affine: float64 [4, 4], from (slice, row, column, 1) to millimetres in the patient, where x grows to the right, y to the
            front and z to the head (RAS+, as NIfTI has it). None where the file does not say.
        axis: that a file of all directions was cut along; None where the slices are those of the file.
    """

    voxels: Voxels
    affine: Affine | None = None
    axis: Axis | None = None

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """Millimetres between slices, between rows and between columns; None where they are not known.

        >>> Volume(np.zeros((2, 3, 3)), np.diag([5.0, 0.5, 0.75, 1.0])).spacing
        (5.0, 0.5, 0.75)
        """
        if self.affine is None:
            return None
        between, rows, columns = (float(length) for length in np.linalg.norm(self.affine[:3, :3], axis=0))
        return between, rows, columns


def to_volume(pixels: Voxels) -> Volume:
    """Return a picture, [H, W, 1] or [H, W, 3], as a volume of one slice, whose place is not known."""
    return Volume(pixels[None, :, :, 0] if pixels.shape[2] == 1 else pixels[None])


def check_voxel_count(voxels: int, max_voxels: int, path: Path) -> None:
    """Raise DataError for more voxels than are allowed."""
    if voxels > max_voxels:
        raise DataError(
            f"{path} has {voxels:,} voxels, more than the limit of {max_voxels:,}",
            mend="Cut it into parts, or allow more with --max-voxels where memory suffices.",
        )


def check_memory(voxels: int, size: int, path: Path) -> None:
    """Raise DataError for voxels whose reading takes more memory than is free; `size` is what it takes, in bytes."""
    if size > available_bytes():
        raise DataError(f"{path} has {voxels:,} voxels, too many for the memory that is free", mend="Cut it into parts.")


def check_same_grid(image: Volume, labels: Volume, image_file: Path, label_file: Path) -> None:
    """Refuse labels that do not lie on the voxels of their image.

    Raises:
        DataError: another size, or corners that are more than `SAME_PLACE` of a voxel away; names both files.
    """
    sizes = [volume.voxels.shape[:3] for volume in (image, labels)]
    if sizes[0] != sizes[1]:
        shown = [" x ".join(map(str, size)) for size in sizes]
        raise DataError(
            f"{label_file} has {shown[1]} voxels (slices x rows x columns), but its image {image_file} has {shown[0]}",
            mend="Resample the labels to the image's voxels, without interpolation.",
        )
    if image.affine is None or labels.affine is None or image.spacing is None:
        return
    corners = np.array([[*corner, 1] for corner in itertools.product(*((0, length - 1) for length in sizes[0]))], np.float64)
    apart = float(np.linalg.norm((corners @ (image.affine - labels.affine).T)[:, :3], axis=1).max())
    if not apart <= SAME_PLACE * min(image.spacing):
        raise DataError(
            f"{label_file} lies {apart:.3g} mm away from its image {image_file}, though both have the same size",
            mend="Their orientations or origins (affines) differ: resample the labels to the image's voxels.",
        )
