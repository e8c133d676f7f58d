"""Read image files into arrays.

PNG, TIFF, JPEG and BMP; up to 16 bit, or float TIFF; grey, palette or RGB. Only NumPy and Pillow are needed, so that a
device can read its images. An orientation written by a camera (EXIF) is applied; transparency is dropped.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from u3p_edge.data.decode import Picture, open_picture, turn
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.errors import DataError

Pixels = npt.NDArray[Any]


def read_image(path: Path, channels: int, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read the pixels of an image file without changing their values.

    Args:
        path: of the file.
        channels: 1 turns RGB into grey (ITU-R 601 luma), 3 repeats a grey image.
        max_pixels: height x width that the image may have.

    Returns:
        [H, W, channels] of uint8, uint16 (16 bits a channel) or float32 (floating-point or signed TIFF); the dtype gives the
        range that a "range" normalization divides by.

    Raises:
        DataError: as `decode.open_picture`, or the image has pixels that are not finite.
    """
    return to_channels(read_native(path, max_pixels), channels)


def to_channels(pixels: Pixels, channels: int) -> Pixels:
    """Return an image [H, W, 1 or 3] as [H, W, channels]: grey is repeated, RGB becomes grey by ITU-R 601 luma.

    >>> to_channels(np.array([[[7]]], np.uint8), 3)
    array([[[7, 7, 7]]], dtype=uint8)
    """
    if pixels.shape[2] == 3 and channels == 1:
        if pixels.dtype == np.uint8:
            return np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
        grey = pixels @ np.array([0.299, 0.587, 0.114])
        whole: Pixels = (np.rint(grey) if pixels.dtype.kind == "u" else grey).astype(pixels.dtype)
        return whole[:, :, None]
    return np.repeat(pixels, channels, axis=2) if pixels.shape[2] < channels else pixels


def read_native(path: Path, max_pixels: int = MAX_PIXELS) -> Pixels:
    """Read as `read_image`, with the channels of the file: [H, W, 1] if it is grey, [H, W, 3] if it is in colour."""
    return pixels_of(open_picture(path, max_pixels), path)


def pixels_of(picture: Picture, path: Path) -> Pixels:
    """Return the pixels of a picture as `read_native` does; `path` is for messages."""
    if picture.low is not None:
        return np.ascontiguousarray(picture.upright()[:, :, : 1 if picture.stored.mode == "LA" else 3])
    pixels = to_values(np.asarray(turn(flatten(picture.stored), picture.orientation)), path)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def flatten(picture: Image.Image) -> Image.Image:
    """Return a picture without palette, transparency, single bits or colour spaces other than grey and RGB."""
    if picture.mode in ("L", "RGB") or picture.mode[0] in "IF":
        return picture
    return picture.convert("L" if picture.mode in ("1", "LA", "La") else "RGB")


def to_values(values: Pixels, path: Path) -> Pixels:
    """Return the numbers of a picture as uint8, uint16 or finite float32. Raises DataError for NaN and infinity."""
    if values.dtype in (np.uint8, np.uint16):
        return values
    if values.dtype.kind in "iu":
        # Pillow opens some 16-bit files as int32; signed ones (computed tomography) keep their sign as floats.
        fits = values.min() >= 0 and values.max() <= 65535
        return values.astype(np.uint16 if fits else np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"{path} has pixels that are not numbers (NaN or infinite)", mend="Replace them, for example by 0.")
    return values.astype(np.float32)
