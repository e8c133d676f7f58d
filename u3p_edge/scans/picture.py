"""Read the pictures of a source within its limit of voxels and the memory that is free."""

from __future__ import annotations

from pathlib import Path

from u3p_edge.data.decode import picture_size
from u3p_edge.data.images import read_native
from u3p_edge.data.masks import read_values
from u3p_edge.scans.volume import Voxels, check_memory, check_voxel_count

_BYTES = 12
"""Of a pixel while it is read: three channels of 16 bits, decoded as two pictures of the upper and lower bytes and joined."""


def read_picture(path: Path, max_voxels: int) -> Voxels:
    """Read an image: [H, W, 1], or [H, W, 3] of one in colour.

    Raises:
        DataError: as `data.images.read_native`; or it has more pixels than `max_voxels` or than fit into memory.
    """
    return read_native(path, _check_size(path, max_voxels))


def read_picture_labels(path: Path, max_voxels: int) -> Voxels:
    """Read the values of a mask, uint8 or uint16 [H, W]. Raises DataError as `read_picture` and `data.masks.read_values`."""
    return read_values(path, _check_size(path, max_voxels))


def _check_size(path: Path, max_voxels: int) -> int:
    """Return the number of pixels of a picture, none of which is decoded; raise DataError where they are too many."""
    height, width = picture_size(path)
    check_voxel_count(height * width, max_voxels, path)
    check_memory(height * width, _BYTES * height * width, path)
    return height * width
