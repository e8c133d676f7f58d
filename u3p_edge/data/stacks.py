"""Inputs of several slices: a slice of a volume with its neighbours as channels, of which the middle one is segmented (2.5-D).

Intensities are measured over the whole stack, as over the channels of a colour image: a slice that is brighter than its
neighbours stays so, and a slice of noise beyond the patient is not stretched to full contrast. Beyond the ends of a volume its
last slice is repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.images import Pixels, read_image, to_channels
from u3p_edge.data.volumes import find_volumes
from u3p_edge.errors import DataError

if TYPE_CHECKING:
    from u3p_edge.data.folder import Sample

InputReader = Callable[[Sequence[Path], int], Pixels]
"""`read(files, max_pixels)` reads the image [H, W, C] of one input from its files."""


def neighbour_indices(index: int, count: int, slices: int) -> tuple[int, ...]:
    """Return the positions of a slice and its neighbours among the `count` slices of a volume.

    >>> neighbour_indices(0, 5, 3), neighbour_indices(3, 5, 3)
    ((0, 0, 1), (2, 3, 4))
    """
    half = slices // 2
    return tuple(min(max(index + step, 0), count - 1) for step in range(-half, half + 1))


def find_stacks(images: Sequence[Path], slices: int) -> tuple[tuple[Path, ...], ...]:
    """Return, for each image, the files of its input: itself and its neighbours, in the order of the volume.

    Args:
        images: files; all slices of their volumes lie beside them (see `find_volumes`).
        slices: of an input, an odd number; with 1 every image is an input of its own.

    Raises:
        DataError: an image is a slice of no volume, or of one without another slice; and as `find_volumes`.
    """
    if slices == 1:
        return tuple((image,) for image in images)
    volumes = [volume for folder in dict.fromkeys(image.parent for image in images) for volume in find_volumes(folder)]
    positions = {image: (volume, index) for volume in volumes for index, image in enumerate(volume)}

    def find(image: Path) -> tuple[Path, ...]:
        if image not in positions:
            raise DataError(
                f"nothing says of which volume {image} is a slice, and the network takes {slices} neighbouring slices",
                mend="Give the whole scan, import volumes with `u3p-edge data import`, or name slices p1_s000, p1_s001, ...",
            )
        volume, index = positions[image]
        check_depth(len(volume), slices, image)
        return tuple(volume[i] for i in neighbour_indices(index, len(volume), slices))

    return tuple(map(find, images))


def check_depth(count: int, slices: int, volume: Path) -> None:
    """Raise DataError for a volume of one slice where a network takes several: all but one would be made up."""
    if slices > 1 and count == 1:
        raise DataError(
            f"{volume} is a volume of one slice, and the network takes {slices} neighbouring slices",
            mend="Leave it out, or use a network of single images.",
        )


def check_splits(samples: Sequence[Sample], slices: int) -> None:
    """Raise DataError where a neighbour of an image belongs to another split: the network would see what it is tested on.

    Args:
        samples: all of a data folder.
        slices: of an input. Errors as `find_stacks`.
    """
    splits = {sample.image: sample.split for sample in samples}
    for sample, stack in zip(samples, find_stacks([sample.image for sample in samples], slices), strict=True):
        other = next((image for image in stack if splits.get(image, sample.split) != sample.split), None)
        if other is not None:
            raise DataError(
                f"{sample.image} is in the split {sample.split}, and its neighbour {other.name} in {splits[other]}",
                mend="Put all slices of a volume into one split.",
            )


def stack_slices(volume: Pixels, index: int, preprocessing: Preprocessing) -> Pixels:
    """Return the image [H, W, C] of one slice of a volume: what `make_reader` reads where the slices are files.

    Args:
        volume: [slices, H, W], or [slices, H, W, 3] in colour: uint8, uint16 or float32.
        index: of the slice.
        preprocessing: of the network.
    """
    chosen = [volume[i] for i in neighbour_indices(index, len(volume), preprocessing.slices)]
    planes = [to_channels(plane.reshape(*plane.shape[:2], -1), preprocessing.image_channels) for plane in chosen]
    return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)


def middle_slice(image: npt.NDArray[Any], preprocessing: Preprocessing) -> npt.NDArray[Any]:
    """Return what is shown of an image [H, W, C]: of several slices the middle one, [H, W, 1]; else the image itself."""
    if preprocessing.slices == 1:
        return image
    middle = preprocessing.slices // 2
    return image[:, :, middle : middle + 1]


def make_reader(preprocessing: Preprocessing) -> InputReader:
    """Return the function that reads an input's image from the files that `find_stacks` gives.

    It keeps the slices that it read last, which the next input most often shares. It raises DataError as `read_image`, and for
    slices of different sizes or types.
    """
    if preprocessing.slices == 1:
        return lambda files, max_pixels: read_image(files[0], preprocessing.channels, max_pixels)
    read_slice = lru_cache(preprocessing.slices)(lambda file, max_pixels: read_image(file, 1, max_pixels))

    def read(files: Sequence[Path], max_pixels: int) -> Pixels:
        planes = [read_slice(file, max_pixels) for file in files]
        for file, plane in zip(files, planes, strict=True):
            if (plane.shape, plane.dtype) != (planes[0].shape, planes[0].dtype):
                raise DataError(
                    f"{files[0]} is {_kind(planes[0])} and its neighbour {file.name} {_kind(plane)}",
                    mend="All slices of a volume have one size and one type.",
                )
        return np.concatenate(planes, axis=2)

    return read


def _kind(plane: Pixels) -> str:
    return f"{plane.shape[0]}x{plane.shape[1]} {plane.dtype}"
