"""Labels as colours, over grey or RGB images; needs only NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.config.metadata import Colour
from u3p_edge.data.intensity import percentiles, row_slices

Picture = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]


def to_rgb(image: npt.NDArray[Any]) -> Picture:
    """Return an image [H, W, 1 or 3] of any range as uint8 RGB [H, W, 3], stretched from its 0.5 to its 99.5 percentile."""
    low, high = percentiles(image, (0.5, 99.5))
    if low == high:
        low, high = float(image.min()), float(image.max())
    grey: Picture = np.empty(image.shape, np.uint8)
    for rows in row_slices(image):  # a large image is converted to float64 part by part
        scaled = (image[rows].astype(np.float64) - low) / (high - low if high > low else 1.0)
        grey[rows] = (255 * np.clip(scaled, 0, 1)).round()
    return np.repeat(grey, 3, axis=2) if grey.shape[2] == 1 else grey


def colourise(labels: Labels, colours: Sequence[Colour]) -> Picture:
    """Return labels uint8 [H, W] as RGB [H, W, 3]; a label without a colour, as for pixels that are not scored, is grey."""
    table = np.full((256, 3), 128, np.uint8)
    table[: len(colours)] = colours
    painted: Picture = table[labels]
    return painted


def overlay(image: npt.NDArray[Any], labels: Labels, colours: Sequence[Colour], opacity: float = 0.45) -> Picture:
    """Return the image [H, W, C] as RGB, with the foreground labels painted over it."""
    painted = np.array(to_rgb(image))
    for rows in row_slices(painted):
        part, mask = painted[rows], labels[rows]
        mixed = ((1 - opacity) * part + opacity * colourise(mask, colours)).round().astype(np.uint8)
        np.copyto(part, mixed, where=mask[:, :, None] > 0)
    return painted


def difference(image: npt.NDArray[Any], first: Labels, second: Labels, colour: Colour = (255, 0, 255)) -> Picture:
    """Return the image, dimmed, with the pixels whose labels differ in one strong colour."""
    dimmed: Picture = (to_rgb(image) // 3).astype(np.uint8)
    return np.where((first != second)[:, :, None], np.asarray(colour, np.uint8), dimmed)
