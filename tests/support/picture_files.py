"""Small pictures whose every pixel is known, and files of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

GREY = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20

RGB = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)


def write(path: Path, pixels: np.ndarray, mode: str | None = None) -> Path:
    """The pixels as a picture file, in a mode of Pillow's if one is named."""
    picture = Image.fromarray(pixels)
    (picture if mode is None else picture.convert(mode)).save(path)
    return path
