"""Open picture files. A file that cannot be opened is a DataError that names the file, the cause and the mend.

Only the four formats are tried: Pillow has decoders for dozens more, one of which starts another program.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# Importing a format's module registers its decoder in Image.OPEN.
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from u3p_edge.data.file_errors import check_regular, unreadable
from u3p_edge.data.formats import DEPTHS, FORMATS, MAX_PIXELS
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

_PLUGINS = (
    PngImagePlugin.PngImageFile, TiffImagePlugin.TiffImageFile, JpegImagePlugin.JpegImageFile, BmpImagePlugin.BmpImageFile
)  # fmt: skip
_SIGNATURES = (
    (0, b"GIF8", "GIF"), (8, b"WEBP", "WebP"), (128, b"DICM", "DICOM"), (0, b"\x1f\x8b", "gzip"), (0, b"PK\x03\x04", "zip"),
    (0, b"%PDF", "PDF"), (0, b"\x89HDF", "HDF5"), (0, b"\x93NUMPY", "NumPy"), (4, b"ftyp", "HEIF or AVIF"),
    (4, b"jP  ", "JPEG 2000"),
)  # fmt: skip
"""Offset, bytes and name of other kinds of files that may have a picture's suffix."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_CUT_SHORT = ("truncated", "not enough image data", "end of file", "Missing dimensions", "unrecognized data stream")
_UNSUPPORTED = (
    *("unknown pixel mode", "unsupported", "Unsupported", "not supported", "not available", "unknown data organization"),
    *("codec configuration error", "unknown raw mode"),
)


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Args:
        stored: as it is in the file, not turned.
        raw_mode: Pillow's name of how a pixel is stored, e.g. "L;4" for four bits of grey, which `stored` stretches to 0..255.
        orientation: 1 to 8, the EXIF tag; 1 is upright.
    """

    stored: Image.Image
    raw_mode: str
    orientation: int


def open_picture(path: Path, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode the picture of a PNG, TIFF, JPEG or BMP file.

    Args:
        path: of the file.
        max_pixels: height x width that the picture may have.

    Raises:
        DataError: the file is missing, not a regular file, empty, not a picture, cut short, damaged, of an unsupported kind, a
            TIFF of several pictures, or it has more than `max_pixels` pixels.
    """
    with _open_file(path) as file:
        picture = _identify(file, path)
        _check_pixels(picture.size, max_pixels, path)
        if picture.format == "TIFF" and getattr(picture, "n_frames", 1) > 1:
            raise DataError(f"{path} holds several images", mend="Write every slice into a separate file.")
        raw_mode, orientation = _raw_mode(picture), _orientation(picture, file)
        picture.load()
        # Pillow turns a TIFF while it loads it, and no other file.
        stored = turn_back(picture, orientation) if picture.format == "TIFF" else picture
        return Picture(stored, raw_mode, orientation)


def picture_size(path: Path) -> tuple[int, int]:
    """Return (height, width) of a picture file, upright, without decoding it. Raises DataError as `open_picture`."""
    with _open_file(path) as file:
        picture = _identify(file, path)
        # Pillow gives the upright size of a TIFF, and the stored size of any other picture.
        turned = _orientation(picture, file) in _QUARTER_TURNS and picture.format != "TIFF"
        return picture.size if turned else (picture.height, picture.width)


def turn(image: Image.Image, orientation: int) -> Image.Image:
    """Turn a stored picture as its EXIF orientation says."""
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def read_orientation(path: Path) -> int:
    """Return the EXIF orientation of a picture file, 1 to 8, without decoding it; 1 where it cannot be read."""
    try:
        with _open_file(path) as file:
            return _orientation(_identify(file, path), file)
    except DataError:  # `open_picture` reports what is wrong
        return 1


def turn_back(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an upright picture back to how it was stored: the inverse of `turn`."""
    return turn(image, _INVERSE.get(orientation, orientation))


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


@contextlib.contextmanager
def _open_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a regular file; whatever its decoding raises inside is a DataError that names it."""
    check_regular(path)
    try:
        with path.open("rb") as file:
            yield file
    except DataError:
        raise
    except OSError as error:
        raise unreadable(path, error) if error.errno else _undecodable(path, error) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory", mend="Make the picture smaller, or free memory.") from error
    # Pillow's decoders let nearly any exception out of a damaged file: SyntaxError, ValueError, struct.error ...
    except Exception as error:
        raise _undecodable(path, error) from error


def _identify(file: IO[bytes], path: Path) -> ImageFile.ImageFile:
    """Return the picture, not decoded. The pixel limit of `Image.open`, a global variable, does not apply."""
    start = file.read(132)
    for plugin in _PLUGINS:
        factory, accept = Image.OPEN[plugin.format]
        if accept is None or accept(start) is True:
            file.seek(0)
            return factory(file, str(path))
    kind = next((name for offset, mark, name in _SIGNATURES if start[offset:].startswith(mark)), None)
    looks = f": it is a {kind} file" if kind else ""
    raise DataError(f"{path} is not an image that can be read{looks}", mend=f"Convert it to {FORMATS}, of {DEPTHS}.")


def _check_pixels(size: tuple[int, int], max_pixels: int, path: Path) -> None:
    width, height = size
    if width * height > max_pixels:
        raise DataError(
            f"{path} has {height}x{width} = {width * height:,} pixels, more than the limit of {max_pixels:,}",
            mend=f"Make it smaller, or cut it into pieces; where memory suffices, allow it with --max-pixels {width * height}.",
        )


def _undecodable(path: Path, error: Exception) -> DataError:
    """Return the error by Pillow's message: cut short, of a kind that it does not read, or damaged."""
    message = str(error) or type(error).__name__
    if isinstance(error, EOFError) or any(word.lower() in message.lower() for word in _CUT_SHORT):
        return DataError(f"{path} is cut short ({message})", mend="Copy it again from where it came.")
    unknown = isinstance(error, (NotImplementedError, KeyError)) or message.isdigit()  # the number of a TIFF compression
    if unknown or any(word in message for word in _UNSUPPORTED):
        return DataError(f"{path} is of a kind that is not supported ({message})", mend=f"Save it as a PNG, or with {DEPTHS}.")
    return DataError(f"{path} is damaged ({message})", mend="Copy it again from where it came, or save it anew.")
