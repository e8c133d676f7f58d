"""A split of a data set as arrays, preprocessed for a network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from u3p_edge.config import Preprocessing
from u3p_edge.data.folder import Dataset, Sample
from u3p_edge.data.images import BINARY, beyond, read_image, read_indices, read_mask
from u3p_edge.data.preprocess import apply, fit_mask
from u3p_edge.errors import DataError


@dataclass(frozen=True)
class Arrays:
    """Images and labels of N samples.

    Args:
        images: float32 [N, height, width, C].
        labels: uint8 [N, height, width].
        stems, groups: one a sample.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    stems: tuple[str, ...]
    groups: tuple[str, ...]


def load(
    samples: Sequence[Sample], preprocessing: Preprocessing, labels: int, advance: Callable[[], object] = lambda: None
) -> Arrays:
    """Read, check and preprocess images and masks.

    Args:
        samples: of a `Dataset`, with masks.
        preprocessing: of the model.
        labels: number of classes, background included.
        advance: called after each sample, for a progress bar.

    Raises:
        DataError: no samples, or a file that cannot be used; it is named.
    """
    if not samples:
        raise DataError("there are no images to load")
    size = (preprocessing.height, preprocessing.width)
    images = np.empty((len(samples), *size, preprocessing.channels), np.float32)
    masks = np.empty((len(samples), *size), np.uint8)
    for i, sample in enumerate(samples):
        images[i], masks[i] = load_pair(sample, preprocessing, labels)
        advance()
    return Arrays(images, masks, tuple(s.stem for s in samples), tuple(s.group for s in samples))


def load_pair(
    sample: Sample, preprocessing: Preprocessing, labels: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """One image float32 [height, width, C] and its labels uint8 [height, width]; errors as `load`."""
    if sample.mask is None:
        raise DataError(f"{sample.image} has no mask", mend="Put one of the same stem into masks/.")
    image, mask = read_image(sample.image, preprocessing.channels), read_mask(sample.mask, labels)
    check_sizes(sample.image, image.shape[:2], sample.mask, mask.shape)
    return _apply(image, preprocessing, sample.image), fit_mask(mask, preprocessing)


def load_image(path: Path, preprocessing: Preprocessing) -> tuple[npt.NDArray[np.float32], tuple[int, int]]:
    """One image without a mask, float32 [height, width, C], and its original (H, W); errors as `load`."""
    image = read_image(path, preprocessing.channels)
    return _apply(image, preprocessing, path), (image.shape[0], image.shape[1])


def infer_labels(dataset: Dataset) -> int:
    """Number of classes in all masks of a data set: 2 when they are binary, else the highest index plus 1.

    Raises:
        DataError: a mask that cannot be read, or that mixes 0 / 255 with class indices.
    """
    binary, highest = None, 1
    for path in (s.mask for s in dataset.samples if s.mask is not None):
        values = np.unique(read_indices(path))
        if values[-1] != BINARY:
            highest = max(highest, int(values[-1]))
        elif np.isin(values, (0, BINARY)).all():
            binary = path
        else:
            raise beyond(path, BINARY, None)
    if binary is not None and highest > 1:
        raise beyond(binary, BINARY, highest + 1)
    return highest + 1


def check_sizes(image: Path, image_size: tuple[int, ...], mask: Path, mask_size: tuple[int, ...]) -> None:
    """Raise DataError unless image and mask have one height and width."""
    if image_size != mask_size:
        raise DataError(
            f"{image} has {image_size[0]}x{image_size[1]} pixels (height x width) but its mask {mask} "
            f"{mask_size[0]}x{mask_size[1]}",
            mend="Export both at one size.",
        )


def _apply(image: npt.NDArray[np.generic], preprocessing: Preprocessing, path: Path) -> npt.NDArray[np.float32]:
    try:
        return apply(image, preprocessing)
    except DataError as error:
        raise DataError(f"{path}: {error.symptom}", mend=error.mend) from error
