"""Write the slices of a volume as the image files and masks of a data folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from u3p_edge.errors import DataError
from u3p_edge.scans.volume import Voxels

HIGHEST_16_BIT = np.iinfo(np.uint16).max


def to_pixels(voxels: Voxels) -> Voxels:
    """Return voxels in the type of pixels that holds them as they are, one for all slices of a volume.

    Args:
        voxels: [slices, H, W] or [slices, H, W, 3].

    Returns:
        uint8 for uint8, uint16 where all values are whole numbers from 0 to 65535, else float32.

    Raises:
        DataError: colours of more than 8 bits, or values that are not finite.
    """
    if voxels.dtype == np.uint8:
        return voxels
    if voxels.ndim == 4:
        raise DataError(f"colours of {voxels.dtype} cannot be kept", mend="Save them with 8 bits, or choose one by --channel.")
    low, high = float(voxels.min()), float(voxels.max())
    if not np.isfinite(low + high):
        raise DataError("it has voxels that are not numbers (NaN or infinite)", mend="Replace them, for example by 0.")
    whole = voxels.dtype.kind in "iu" or bool((voxels == np.rint(voxels)).all())
    return voxels.astype(np.uint16 if whole and low >= 0 and high <= HIGHEST_16_BIT else np.float32, copy=False)


def write_slices(folder: Path, names: tuple[str, ...], pixels: Voxels) -> None:
    """Write one file for each slice: PNG, or TIFF for float32.

    Args:
        folder: where they go.
        names: their stems.
        pixels: uint8 [slices, H, W] or [slices, H, W, 3], uint16 or float32 [slices, H, W].
    """
    suffix = ".tif" if pixels.dtype == np.float32 else ".png"
    options = {"compression": "tiff_adobe_deflate"} if suffix == ".tif" else {}
    for name, plane in zip(names, pixels, strict=True):
        Image.fromarray(np.ascontiguousarray(plane)).save(folder / f"{name}{suffix}", **options)
