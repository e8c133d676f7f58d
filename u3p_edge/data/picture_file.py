"""Open picture files. A file that cannot be opened is a DataError that names the file, the cause and the mend.

Only the four formats are tried: Pillow has decoders for dozens more, one of which starts another program.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

# Importing a format's module registers its decoder in Image.OPEN.
from PIL import BmpImagePlugin, Image, ImageFile, JpegImagePlugin, PngImagePlugin, TiffImagePlugin

from u3p_edge.data.file_errors import check_regular, unreadable
from u3p_edge.data.formats import DEPTHS, FORMATS
from u3p_edge.errors import DataError

_PLUGINS = (
    PngImagePlugin.PngImageFile, TiffImagePlugin.TiffImageFile, JpegImagePlugin.JpegImageFile, BmpImagePlugin.BmpImageFile
)  # fmt: skip
_SIGNATURES = (
    (0, b"GIF8", "GIF"), (8, b"WEBP", "WebP"), (128, b"DICM", "DICOM"), (0, b"\x1f\x8b", "gzip"), (0, b"PK\x03\x04", "zip"),
    (0, b"%PDF", "PDF"), (0, b"\x89HDF", "HDF5"), (0, b"\x93NUMPY", "NumPy"), (4, b"ftyp", "HEIF or AVIF"),
    (4, b"jP  ", "JPEG 2000"),
)  # fmt: skip
"""Offset, bytes and name of other kinds of files that may have a picture's suffix."""

_CUT_SHORT = ("truncated", "not enough image data", "end of file", "Missing dimensions", "unrecognized data stream")
_UNSUPPORTED = (
    *("unknown pixel mode", "unsupported", "Unsupported", "not supported", "not available", "unknown data organization"),
    *("codec configuration error", "unknown raw mode"),
)


@contextlib.contextmanager
def open_picture_file(path: Path) -> Iterator[IO[bytes]]:
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


def identify(file: IO[bytes], path: Path) -> ImageFile.ImageFile:
    """Return the picture of an open file, not decoded; raise DataError where it is none.

    The pixel limit of `Image.open`, a global variable, does not apply.
    """
    file.seek(0)
    start = file.read(132)
    for plugin in _PLUGINS:
        factory, accept = Image.OPEN[plugin.format]
        if accept is None or accept(start) is True:
            file.seek(0)
            return factory(file, str(path))
    kind = next((name for offset, mark, name in _SIGNATURES if start[offset:].startswith(mark)), None)
    looks = f": it is a {kind} file" if kind else ""
    raise DataError(f"{path} is not an image that can be read{looks}", mend=f"Convert it to {FORMATS}, of {DEPTHS}.")


def check_pixels(size: tuple[int, int], max_pixels: int, path: Path) -> None:
    """Raise DataError for a picture of more than `max_pixels`; `size` is (width, height)."""
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
