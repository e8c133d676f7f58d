"""Decode the pictures of files, and turn them as a camera's orientation says. Errors are those of `picture_file`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from u3p_edge.data.deep_colour import check_planes, is_deep, read_both_bytes
from u3p_edge.data.formats import MAX_PIXELS
from u3p_edge.data.picture_file import check_pixels, identify, open_picture_file
from u3p_edge.errors import DataError

ORIENTATION = 0x0112
"""The EXIF tag in which a camera records how the stored picture is to be turned."""

_QUARTER_TURNS = (5, 6, 7, 8)
"""Values of that tag under which height and width change places."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What makes a stored picture upright, by the tag's value (EXIF 2.32, 4.6.4); 1 is upright already."""

_INVERSE = {6: 8, 8: 6}
"""The turn that undoes a turn; every other one undoes itself."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Args:
        stored: as it is in the file, not turned.
        raw_mode: Pillow's name of how a pixel is stored, e.g. "L;4" for four bits of grey, which `stored` stretches to 0..255.
        orientation: 1 to 8, the EXIF tag; 1 is upright.
        low: the lower bytes of a picture of 16 bits a channel in colour or with transparency, of which `stored` has the upper
            ones; None for any other.
    """

    stored: Image.Image
    raw_mode: str
    orientation: int
    low: Image.Image | None = None

    def upright(self) -> npt.NDArray[Any]:
        """Return the numbers of the upright picture: [H, W] or [H, W, channels]; indices where it has a palette."""
        numbers = np.asarray(turn(self.stored, self.orientation))
        if self.low is None:
            return numbers
        both: npt.NDArray[Any] = numbers.astype(np.uint16) * np.uint16(256) + np.asarray(turn(self.low, self.orientation))
        return both


def open_picture(path: Path, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode the picture of a PNG, TIFF, JPEG or BMP file.

    Args:
        path: of the file.
        max_pixels: height x width that the picture may have.

    Raises:
        DataError: the file is missing, not a regular file, empty, not a picture, cut short, damaged, of an unsupported kind, a
            TIFF of several pictures, or it has more than `max_pixels` pixels.
    """
    with open_picture_file(path) as file:
        picture = identify(file, path)
        check_pixels(picture.size, max_pixels, path)
        if count_pages(picture) > 1:
            raise DataError(f"{path} holds several images", mend="`u3p-edge data import` makes slices of a TIFF's pages.")
        return decode_page(picture, file, lambda: identify(file, path))


def picture_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of a picture file, upright, without decoding it. Raises DataError as `open_picture`."""
    with open_picture_file(path) as file:
        picture = identify(file, path)
        # Pillow gives the upright size of a TIFF, and the stored size of any other picture.
        turned = _orientation(picture, file) in _QUARTER_TURNS and picture.format != "TIFF"
        return picture.size if turned else (picture.height, picture.width)


def turn(image: Image.Image, orientation: int) -> Image.Image:
    """Turn a stored picture as its EXIF orientation says."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def read_orientation(path: Path) -> int:
    """Return the EXIF orientation of a picture file, 1 to 8, without decoding it; 1 where it cannot be read."""
    try:
        with open_picture_file(path) as file:
            return _orientation(identify(file, path), file)
    except DataError:  # `open_picture` reports what is wrong
        return 1


def turn_back(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an upright picture back to how it was stored: the inverse of `turn`."""
    return turn(image, _INVERSE.get(orientation, orientation))


def count_pages(picture: ImageFile.ImageFile) -> int:
    """Return the number of pictures in an identified file."""
    return int(getattr(picture, "n_frames", 1))


def decode_page(picture: ImageFile.ImageFile, file: IO[bytes], open_anew: Callable[[], ImageFile.ImageFile]) -> Picture:
    """Decode one page.

    Args:
        picture: identified, at the page.
        file: that it is read from.
        open_anew: identifies it once more, at the same page.

    Returns:
        A picture that holds no other memory than `picture` does.
    """
    check_planes(picture)
    raw_mode, orientation = _raw_mode(picture), _orientation(picture, file)
    low = None
    upper: Image.Image = picture
    if is_deep(picture.mode, raw_mode):
        upper, low = read_both_bytes(open_anew, raw_mode)
    else:
        picture.load()
    # Pillow turns a TIFF while it loads it, and no other file.
    if picture.format == "TIFF":
        upper, low = turn_back(upper, orientation), low and turn_back(low, orientation)
    return Picture(upper, raw_mode, orientation, low)


def _raw_mode(picture: ImageFile.ImageFile) -> str:
    args = picture.tile[0].args if picture.tile else ""
    return str(args[0]) if isinstance(args, tuple) and args else str(args)


def _orientation(picture: ImageFile.ImageFile, file: IO[bytes]) -> int:
    """Return the EXIF orientation of a picture that may not be decoded yet."""
    if picture.format == "PNG" and not _has_text_or_exif(file):
        return 1  # Pillow would decode the whole picture to look behind its pixels
    value = picture.getexif().get(ORIENTATION, 1)
    return value if value in _TURNS else 1


def _has_text_or_exif(png: IO[bytes]) -> bool:
    """Return whether a PNG has a chunk that can hold an orientation; the file is left where it was."""
    start = png.tell()
    png.seek(len(_PNG_SIGNATURE))
    has_chunk = False
    while not has_chunk and len(header := png.read(8)) == 8 and header[4:] != b"IEND":
        has_chunk = header[4:] in (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
        png.seek(int.from_bytes(header[:4], "big") + 4, 1)  # its data and their checksum
    png.seek(start)
    return has_chunk
