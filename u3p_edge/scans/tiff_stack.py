"""TIFF files whose pages are the slices of a volume, as cases; labels are TIFF files of as many pages.

Every kind of page is read that `data.images` reads, and no other library is needed. What ImageJ and OME write into the first
page says which pages are slices, channels and time points, and their spacing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from u3p_edge.data.decode import Picture
from u3p_edge.data.images import pixels_of
from u3p_edge.data.masks import values_of
from u3p_edge.data.pages import open_pages, read_description
from u3p_edge.errors import DataError
from u3p_edge.scans.case import CaseList, LabelledVolume
from u3p_edge.scans.channels import channel_index
from u3p_edge.scans.listing import holds_files, list_pairs, pair_files
from u3p_edge.scans.options import ScanOptions
from u3p_edge.scans.stack_layout import read_affine, read_layout
from u3p_edge.scans.volume import Volume, Voxels, check_memory, check_same_grid, check_voxel_count

SUFFIXES = (".ome.tiff", ".ome.tif", ".tiff", ".tif")

LAYOUT = "a .tif file whose pages are slices, a folder of them, or a folder with images/ and labels/ of the same names"

LOOKED_AT = 3
"""Files of a folder that are opened to see whether they have several pages."""

_BYTES = 6
"""Of a voxel at most: three channels of 16 bits."""


def recognize(source: Path) -> bool:
    """Return whether a path is a TIFF file of several pages, or a folder whose first TIFF files have some of these.

    Files of one page are images. One that cannot be read counts too, so that reading it says what is wrong.
    """
    if not holds_files(source, SUFFIXES):
        return False
    images, _ = pair_files(source, SUFFIXES)
    return any(_is_stack(path) for path in list(images.values())[:LOOKED_AT])


def list_cases(source: Path, options: ScanOptions) -> CaseList:
    """List the stacks of a file or folder; those without labels too. Raises DataError for labels without an image."""
    return list_pairs(source, SUFFIXES, options, read_labelled_stack)


def read_labelled_stack(image: Path, labels: Path | None, options: ScanOptions) -> LabelledVolume:
    """Read a stack and its labels, which must have as many pages of the same size. Raises DataError that names the file."""
    volume = read_stack(image, options, pixels_of)
    if labels is None:
        return LabelledVolume(volume)
    mask = read_stack(labels, options, values_of)
    check_same_grid(volume, Volume(mask.voxels), image, labels)
    return LabelledVolume(volume, mask.voxels)


def read_stack(path: Path, options: ScanOptions, values: Callable[[Picture, Path], Voxels]) -> Volume:
    """Read the slices of a TIFF.

    Args:
        path: of the file.
        options: its `channel` chooses a channel or time point where there are several; `max_voxels` limits all its pages.
        values: gives the numbers of a page, [H, W], [H, W, 1] or [H, W, 3].

    Returns:
        Voxels [slices, H, W], or [slices, H, W, 3] of a file in colour.

    Raises:
        DataError: the file cannot be read, its pages differ in size or channels, or they need more memory than is available.
    """
    description = read_description(path)
    height, width = description.size
    voxels = description.pages * height * width
    check_voxel_count(voxels, options.max_voxels, path)
    check_memory(voxels, 2 * _BYTES * voxels, path)  # with one copy of them
    layout = read_layout(description, path)
    wanted = layout[channel_index(options.channel, len(layout), path)]
    pages = dict.fromkeys(wanted, np.empty(0))
    for index, picture in open_pages(path, pages):
        page = values(picture, path)
        pages[index] = page[:, :, 0] if page.ndim == 3 and page.shape[2] == 1 else page
        _check_alike(pages, wanted, index, path)
    return Volume(np.stack([pages[index] for index in wanted]), read_affine(description))


def _is_stack(path: Path) -> bool:
    try:
        return read_description(path).pages > 1
    except DataError:
        return True


def _check_alike(pages: dict[int, Voxels], wanted: Sequence[int], index: int, path: Path) -> None:
    """Raise DataError unless a page has the shape of the first one."""
    first, this = (pages[i].shape for i in (wanted[0], index))
    if first != this:
        raise DataError(
            f"{path}: its page {index + 1} has {' x '.join(map(str, this))} values, page {wanted[0] + 1} has "
            f"{' x '.join(map(str, first))}: these are not slices of one volume",
            mend="Save one volume a file, without previews or reduced copies.",
        )
