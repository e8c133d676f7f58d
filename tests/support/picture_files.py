"""Small pictures whose every pixel is known, and files of them."""

from __future__ import annotations

import struct
import zlib
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


def write_deep_png(path: Path, pixels: np.ndarray, chunk: bytes = b"") -> Path:
    """A PNG of 16 bits a channel, uint16 [H, W, 2 to 4], which Pillow cannot write.

    Its rows are filtered in turn by nothing, by the pixel to the left, and by the pixel above (PNG 1.2, section 6).

    Args:
        chunk: kind and data of a further one, such as b"eXIf...".
    """
    height, width, channels = pixels.shape
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    left = np.pad(rows, ((0, 0), (2 * channels, 0)))[:, : rows.shape[1]]
    above = np.pad(rows, ((1, 0), (0, 0)))[:-1]
    filtered = [bytes([y % 3]) + (rows[y] - (0, left[y], above[y])[y % 3]).astype(np.uint8).tobytes() for y in range(height)]
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = (b"IHDR" + header, chunk, b"IDAT" + zlib.compress(b"".join(filtered)), b"IEND")
    body = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks if c)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(body))
    return path
