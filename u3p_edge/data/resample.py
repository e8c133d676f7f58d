"""Bilinear resizing by Pillow, part by part where an image is large.

Pixel centres are at halves; shrinking averages over the pixels that fall together. Each row is resized independently, and so is
each column. So parts of rows, and then parts of columns, give what the whole gives, up to the rounding of the values between
the two steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from u3p_edge.data.intensity import Pixels, PlaneMap

Floats = npt.NDArray[np.float32]
Size = tuple[int, int]

PART = 1 << 21
"""Pixels that a part has at most (a single row or column may have more)."""


def resize(image: Pixels, values: PlaneMap, size: Size) -> Floats:
    """Normalise and resize an image.

    Args:
        image: [H, W, C].
        values: the normalisation of its pixels.
        size: (height, width) of the result.

    Returns:
        float32 [height, width, C].
    """
    out = np.empty((*size, image.shape[2]), np.float32)
    for channel in range(image.shape[2]):
        out[:, :, channel] = np.asarray(_resize_plane(image[:, :, channel], values, channel, size))
    return out


def resize_columns(plane: Floats, size: Size) -> Iterator[tuple[slice, Floats]]:
    """Resize a plane, part by part.

    Args:
        plane: float32 [h, w].
        size: (height, width) of the result.

    Yields:
        Which columns of the result, and their values float32 [height, columns].
    """
    picture = Image.fromarray(np.ascontiguousarray(plane))
    cuts = list(split_evenly(size[1], max(size[0], len(plane))))
    if len(cuts) == 1:
        yield slice(None), np.asarray(picture.resize(size[::-1], Image.Resampling.BILINEAR))
        return
    wide = picture.resize((size[1], len(plane)), Image.Resampling.BILINEAR)
    for first, last in cuts:
        part = wide.crop((first, 0, last, len(plane))).resize((last - first, size[0]), Image.Resampling.BILINEAR)
        yield slice(first, last), np.asarray(part)


def split_evenly(count: int, length: int) -> Iterator[tuple[int, int]]:
    """Yield (first, last), `last` excluded, of consecutive parts of `count` rows or columns of `length` pixels; one if few."""
    parts = min(count, -(-count * length // PART))
    return itertools.pairwise(count * i // parts for i in range(parts + 1))


def _resize_plane(plane: Pixels, values: PlaneMap, channel: int, size: Size) -> Image.Image:
    height, width = plane.shape
    cuts = list(split_evenly(height, width))
    if len(cuts) == 1:
        return values(plane, channel).resize(size[::-1], Image.Resampling.BILINEAR)
    narrow = np.empty((height, size[1]), np.float32)
    for first, last in cuts:
        part = values(plane[first:last], channel)
        narrow[first:last] = np.asarray(part.resize((size[1], last - first), Image.Resampling.BILINEAR))
    return Image.fromarray(narrow).resize(size[::-1], Image.Resampling.BILINEAR)
