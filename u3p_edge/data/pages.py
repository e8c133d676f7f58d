"""Read TIFF files of several pages, one page at a time, and what they say of their pages."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import IO

from PIL import ImageFile

from u3p_edge.data.decode import Picture, count_pages, decode_page
from u3p_edge.data.picture_file import identify, open_picture_file
from u3p_edge.errors import DataError

IMAGE_DESCRIPTION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 270, 282, 283, 296
"""Tags of TIFF (revision 6.0, section 8)."""


@dataclass(frozen=True)
class PageDescription:
    """What a TIFF says of its pages.

    Args:
        pages: their number.
        size: (height, width) of the first, in pixels.
        samples: channels of a pixel.
        text: its description, in which programs write what they know of the image.
        pixels_per_unit: along height and width; 0 where it does not say.
        unit: of these: 2 for inches, 3 for centimetres, else none.
    """

    pages: int
    size: tuple[int, int]
    samples: int
    text: str
    pixels_per_unit: tuple[float, float]
    unit: int


def open_pages(path: Path, wanted: Container[int]) -> Iterator[tuple[int, Picture]]:
    """Decode pages of a TIFF, one at a time; any other file is one page.

    Args:
        path: of the file.
        wanted: indices of the pages.

    Yields:
        Index and picture of each wanted page, in the order of the file.

    Raises:
        DataError: as `decode.open_picture`, or a wanted page has another size than the first page of the file.
    """
    with open_picture_file(path) as file:
        picture = identify(file, path)
        first = picture.size
        for index in filter(wanted.__contains__, range(count_pages(picture))):
            picture.seek(index)
            if picture.size != first:
                raise DataError(
                    f"{path}: its page {index + 1} has {picture.height}x{picture.width} pixels, page 1 has "
                    f"{first[1]}x{first[0]}: these are not slices of one volume",
                    mend="Save one volume a file, without previews or reduced copies.",
                )
            page = decode_page(picture, file, partial(_identify_page, file, path, index))
            yield index, replace(page, stored=page.stored.copy())  # the next page is decoded into the memory of this one


def read_description(path: Path) -> PageDescription:
    """Return what a TIFF says of its pages, none of which is decoded. Raises DataError as `open_picture`."""
    with open_picture_file(path) as file:
        picture = identify(file, path)
        tags = getattr(picture, "tag_v2", {})
        resolution = [float(tags.get(tag, 0)) for tag in (Y_RESOLUTION, X_RESOLUTION)]
        return PageDescription(
            pages=count_pages(picture),
            size=(picture.height, picture.width),
            samples=len(picture.getbands()),
            text=str(tags.get(IMAGE_DESCRIPTION, "")),
            pixels_per_unit=(resolution[0], resolution[1]),
            unit=int(tags.get(RESOLUTION_UNIT, 0)),
        )


def _identify_page(file: IO[bytes], path: Path, index: int) -> ImageFile.ImageFile:
    picture = identify(file, path)
    picture.seek(index)
    return picture
