"""Opens a picture file. A file that cannot be opened is a DataError that names it, its own cause and what to do.

Only the four formats are tried: Pillow has decoders for dozens more, one of which starts another program.
"""

from __future__ import annotations

import stat
from pathlib import Path
from typing import IO

# Importing a format's module registers its decoder in Image.OPEN.
from PIL import BmpImagePlugin, Image, ImageOps, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from u3p_edge.data.formats import DEPTHS, FORMATS, MAX_PIXELS
from u3p_edge.errors import DataError

ORIENTATION = 0x0112
"""The EXIF tag in which a camera writes how the stored picture is to be turned."""

_QUARTER_TURNS = (5, 6, 7, 8)
"""Values of that tag under which height and width change places."""

_PLUGINS = (
    PngImagePlugin.PngImageFile, TiffImagePlugin.TiffImageFile, JpegImagePlugin.JpegImageFile, BmpImagePlugin.BmpImageFile
)  # fmt: skip
_SIGNATURES = (
    (0, b"GIF8", "GIF"), (8, b"WEBP", "WebP"), (128, b"DICM", "DICOM"), (0, b"\x1f\x8b", "gzip"), (0, b"PK\x03\x04", "zip"),
    (0, b"%PDF", "PDF"), (0, b"\x89HDF", "HDF5"), (0, b"\x93NUMPY", "NumPy"), (4, b"ftyp", "HEIF or AVIF"),
    (4, b"jP  ", "JPEG 2000"),
)  # fmt: skip
"""Offset, bytes and name of files that are met under the name of a picture."""

_CUT_SHORT = ("truncated", "not enough image data", "end of file", "Missing dimensions", "unrecognized data stream")
_UNSUPPORTED = ("unknown pixel mode", "unsupported", "not supported", "not available", "unknown data organization")


def open_picture(path: Path, max_pixels: int = MAX_PIXELS, *, upright: bool = True) -> Image.Image:
    """The decoded picture of a PNG, TIFF, JPEG or BMP file.

    Args:
        path: of the file.
        max_pixels: height x width that the picture may have.
        upright: turn it as its EXIF orientation says; otherwise it is as stored.

    Raises:
        DataError: no such file, not a regular file, empty, no picture, cut short, damaged, of an unsupported kind, of more
            than `max_pixels` pixels, or a TIFF of several pictures.
    """
    _check_regular(path)
    try:
        with path.open("rb") as file:
            picture = _identify(file, path)
            _check_pixels(picture.size, max_pixels, path)
            if picture.format == "TIFF" and getattr(picture, "n_frames", 1) > 1:
                raise DataError(f"{path} holds several images", mend="Write every slice into a file of its own.")
            picture.load()
            return ImageOps.exif_transpose(picture) if upright else picture
    except (DataError, KeyboardInterrupt):
        raise
    except OSError as error:
        raise _unreadable(path, error) if error.errno else _undecodable(path, error) from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory", mend="Make the picture smaller, or free memory.") from error
    # Pillow's decoders let nearly any exception out of a damaged file: SyntaxError, ValueError, struct.error ...
    except Exception as error:
        raise _undecodable(path, error) from error


def picture_size(path: Path) -> tuple[int, int]:
    """(height, width) of a picture file, upright, without decoding it. Raises DataError as `open_picture`."""
    _check_regular(path)
    try:
        with path.open("rb") as file:
            picture = _identify(file, path)
            turned = picture.getexif().get(ORIENTATION, 1) in _QUARTER_TURNS
            return picture.size if turned else (picture.height, picture.width)
    except DataError:
        raise
    except OSError as error:
        raise _unreadable(path, error) if error.errno else _undecodable(path, error) from error
    except Exception as error:  # as in `open_picture`
        raise _undecodable(path, error) from error


def _check_regular(path: Path) -> None:
    """A pipe would be waited for without end. Raises DataError."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist") from error
    except OSError as error:
        raise _unreadable(path, error) from error
    if stat.S_ISDIR(status.st_mode):
        raise DataError(f"{path} is a folder, not an image", mend="Name the image files in it.")
    if not stat.S_ISREG(status.st_mode):
        raise DataError(f"{path} is a pipe or a device, not a file", mend="Save the image into a file first.")
    if status.st_size == 0:
        raise DataError(f"{path} is an empty file (0 bytes)", mend="Copy it again from where it came.")


def _identify(file: IO[bytes], path: Path) -> Image.Image:
    """The picture, not decoded yet. Unlike `Image.open` it has no limit of pixels of its own, which is a global variable."""
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


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read: {error.strerror}", mend="Check the file's permissions and its disk.")


def _undecodable(path: Path, error: Exception) -> DataError:
    """By what Pillow says: cut short, of a kind that it does not read, or damaged."""
    said = str(error) or type(error).__name__
    if isinstance(error, EOFError) or any(word.lower() in said.lower() for word in _CUT_SHORT):
        return DataError(f"{path} is cut short ({said})", mend="Copy it again from where it came.")
    unknown = isinstance(error, (NotImplementedError, KeyError)) or said.isdigit()  # the number of a TIFF compression
    if unknown or any(word in said for word in _UNSUPPORTED):
        return DataError(f"{path} is of a kind that is not supported ({said})", mend=f"Save it as a PNG, or with {DEPTHS}.")
    return DataError(f"{path} is damaged ({said})", mend="Copy it again from where it came, or save it anew.")
