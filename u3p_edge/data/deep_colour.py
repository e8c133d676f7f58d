"""Read both bytes of pictures with 16 bits a channel in colour or with transparency: Pillow has only 8-bit modes for them.

Pillow unpacks the upper byte of each number. If it is given the raw mode of the other byte order, it unpacks the lower one.
So such a picture is decoded twice, which needs no other library.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

from PIL import Image, ImageFile

PLANAR_CONFIGURATION, BITS_PER_SAMPLE = 284, 258
"""Tags of TIFF (revision 6.0, section 8)."""

_SEPARATE = 2
"""The planar configuration under which every channel is stored as a plane of its own."""

_OTHER_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
"""By the byte order that ends a raw mode, N for that of this machine: the opposite one."""

_COLOURS = ("RGB;16", "RGBX;16", "RGBA;16", "LA;16")
"""Raw modes that are read, without their byte order."""


def is_deep(mode: str, raw_mode: str) -> bool:
    """Return whether Pillow would read the upper 8 of 16 bits alone.

    Args:
        mode: of the picture.
        raw_mode: how its pixels are stored.

    Raises:
        NotImplementedError: it would, and only these can be read.

    >>> is_deep("RGB", "RGB;16B"), is_deep("I;16", "I;16B")
    (True, False)
    """
    if mode[0] in "IF" or raw_mode[-4:-1] != ";16":
        return False
    if raw_mode[:-1] not in _COLOURS:
        raise NotImplementedError(f"16 bits a channel of {raw_mode.partition(';')[0]}")
    return True


def check_planes(picture: ImageFile.ImageFile) -> None:
    """Raise NotImplementedError for a TIFF of 16 bits a channel with separate planes, which Pillow decodes wrongly."""
    tags = getattr(picture, "tag_v2", {})
    if tags.get(PLANAR_CONFIGURATION) == _SEPARATE and 16 in tags.get(BITS_PER_SAMPLE, ()):
        raise NotImplementedError("16 bits a channel in separate planes")


def read_both_bytes(open_anew: Callable[[], ImageFile.ImageFile], raw_mode: str) -> tuple[Image.Image, Image.Image]:
    """Decode the upper and the lower bytes of a picture that `is_deep`.

    Args:
        open_anew: opens the picture, not decoded.
        raw_mode: of the picture.

    Returns:
        Two pictures of one mode: LA, RGB or RGBA.
    """
    if raw_mode.startswith("LA"):
        # The four bytes of a pixel, in the order of the file, as if they were four channels.
        grey, grey_low, alpha, alpha_low = _decode(open_anew(), "RGBA").split()
        return Image.merge("LA", (grey, alpha)), Image.merge("LA", (grey_low, alpha_low))
    return _decode(open_anew(), raw_mode), _decode(open_anew(), raw_mode[:-1] + _OTHER_ORDER[raw_mode[-1]])


def _decode(picture: ImageFile.ImageFile, raw_mode: str) -> Image.Image:
    """Decode a picture as if its pixels were stored in a raw mode of as many bits."""
    picture.tile = [
        tile._replace(args=(raw_mode, *tile.args[1:]) if isinstance(tile.args, tuple) else raw_mode) for tile in picture.tile
    ]
    picture.load()
    return picture
