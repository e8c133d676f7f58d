"""Image and mask files to arrays, and every way in which they cannot be, as a DataError that names the file.

PNG, TIFF, JPEG and BMP; 8 or 16 bit, or float TIFF; grey, palette or RGB. Only NumPy and Pillow are needed, so that a
device can read its images. An orientation written by a camera (EXIF) is applied; transparency is dropped. A 16-bit
RGB file is read with its upper 8 bits, which is what Pillow has for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from u3p_edge.data.decode import open_picture
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.errors import DataError

BINARY = 255
"""Foreground of a binary mask file."""

Pixels = npt.NDArray[Any]
Labels = npt.NDArray[np.uint8]


def read_image(path: Path, channels: int, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The pixels of an image file as they were written.

    Args:
        path: of the file.
        channels: 1 turns RGB into grey (ITU-R 601 luma), 3 repeats a grey image.
        max_pixels: height x width that the image may have.

    Returns:
        [H, W, channels] of uint8, uint16 (16-bit grey) or float32 (floating-point or signed TIFF); the dtype tells the
        range that a "range" normalization divides by.

    Raises:
        DataError: as `decode.open_picture`, or the image has pixels that are not finite.
    """
    return to_channels(read_native(path, max_pixels), channels)


def to_channels(pixels: Pixels, channels: int) -> Pixels:
    """An image [H, W, 1 or 3] as [H, W, channels]: grey is repeated, RGB becomes grey by ITU-R 601 luma (uint8 as Pillow)."""
    if pixels.shape[2] == 3 and channels == 1:
        if pixels.dtype == np.uint8:
            return np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
        grey = pixels @ np.array([0.299, 0.587, 0.114])
        whole: Pixels = (np.rint(grey) if pixels.dtype.kind == "u" else grey).astype(pixels.dtype)
        return whole[:, :, None]
    return np.repeat(pixels, channels, axis=2) if pixels.shape[2] < channels else pixels


def read_native(path: Path, max_pixels: int = MAX_PIXELS) -> Pixels:
    """As `read_image`, with the channels of the file: [H, W, 1] if it is grey, [H, W, 3] of uint8 if it is in colour."""
    pixels = _values(np.asarray(_flat(open_picture(path, max_pixels))), path)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def read_mask(path: Path, labels: int | None = None, max_pixels: int = MAX_PIXELS) -> Labels:
    """The class index of every pixel of a mask file, uint8 [H, W].

    Args:
        path: of the file: grey or palette class indices (the palette's colours do not matter), or binary 0 / 255.
        labels: number of classes, background included; None accepts any indices, and reads 0 / 255 as 0 / 1.
        max_pixels: height x width that the mask may have.

    Raises:
        DataError: as `read_image`; or the mask is in colour, or has an index that `labels` does not.
    """
    return to_classes(read_indices(path, max_pixels), labels, path)


def read_indices(path: Path, max_pixels: int = MAX_PIXELS) -> Labels:
    """The values of a mask file as they were written, uint8 [H, W]; 16-bit 65535 becomes 255. Errors as `read_mask`."""
    picture = open_picture(path, max_pixels)
    if picture.mode != "P":
        picture = _flat(picture)
    values = np.asarray(picture)
    if values.ndim == 3:
        if (values != values[:, :, :1]).any():
            raise DataError(
                f"the mask {path} is a colour picture",
                mend="Write each pixel's class index (0, 1, ...) into a grey or palette PNG.",
            )
        values = values[:, :, 0]
    values = _values(values, path)
    if values.dtype == np.uint16 and set(np.unique(values)) <= {0, 65535}:
        values = values // 257
    if (values != np.clip(np.rint(values), 0, 255)).any():
        raise DataError(f"the mask {path} has values that are no class index", mend="Use whole numbers from 0 to 254.")
    return values.astype(np.uint8)


def to_classes(indices: Labels, labels: int | None, path: Path) -> Labels:
    """Binary 0 / 255 to 0 / 1, indices as they are; a DataError naming `path` for what `labels` does not have."""
    highest = int(indices.max())
    if highest == BINARY and labels in (None, 2) and np.isin(indices, (0, BINARY)).all():
        return np.where(indices == BINARY, 1, 0).astype(np.uint8)
    limit = BINARY if labels is None else labels
    if highest >= limit:
        raise beyond(path, highest, labels)
    return indices


def beyond(path: Path, index: int, labels: int | None) -> DataError:
    """The error for a class index that a model or data set does not have."""
    has = "neither a binary mask nor a class index" if labels is None else f"beyond the {labels} classes (0 to {labels - 1})"
    mend = "Binary masks hold 0 and 255, other masks class indices"
    if path.suffix.lower() in (".jpg", ".jpeg"):
        mend += "; JPEG changes pixel values, so save masks as PNG"
    return DataError(f"the mask {path} has the value {index}, {has}", mend=f"{mend}.")


def _flat(picture: Image.Image) -> Image.Image:
    """Without palette, transparency, single bits or colour spaces other than grey and RGB."""
    if picture.mode in ("L", "RGB") or picture.mode[0] in "IF":
        return picture
    return picture.convert("L" if picture.mode in ("1", "LA", "La") else "RGB")


def _values(values: Pixels, path: Path) -> Pixels:
    """uint8, uint16 or finite float32."""
    if values.dtype in (np.uint8, np.uint16):
        return values
    if values.dtype.kind in "iu":
        # Pillow opens some 16-bit files as int32; signed ones (computed tomography) keep their sign as floats.
        fits = values.min() >= 0 and values.max() <= 65535
        return values.astype(np.uint16 if fits else np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"{path} has pixels that are not numbers (NaN or infinite)", mend="Replace them, for example by 0.")
    return values.astype(np.float32)
