"""Load a split of a data set as arrays, preprocessed for a network."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL

from u3p_edge import __version__
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.array_cache import Inputs, check_room, map_split
from u3p_edge.data.classes import MaskValues, check_count, count_classes, distinct_values
from u3p_edge.data.decode import picture_size
from u3p_edge.data.file_errors import name_file
from u3p_edge.data.fit_notes import Original
from u3p_edge.data.folder import Dataset, Sample
from u3p_edge.data.images import Pixels
from u3p_edge.data.labels import AS_STORED
from u3p_edge.data.masks import read_mask, read_values, to_classes
from u3p_edge.data.memory import array_bytes, fits_memory
from u3p_edge.data.preprocess import fit_labels, grid_of, inputs, network_size, preprocess, score_tiles
from u3p_edge.data.stacks import find_stacks, make_reader
from u3p_edge.data.volumes import find_spacings
from u3p_edge.errors import DataError
from u3p_edge.manifest import sha256_of
from u3p_edge.metrics import IGNORE
from u3p_edge.progress import Step, idle

Stacks = Sequence[Sequence[Path]]
"""The files of each input's image."""


@dataclass(frozen=True)
class Arrays:
    """Images and labels of N network inputs: in memory, or mapped from files where they do not fit, and then read-only.

    Args:
        images: float32 [N, height, width, C].
        labels: uint8 [N, height, width]; `metrics.IGNORE` where a pixel is not scored.
        stems, groups: one per input; the tiles of an image share its stem.
        originals: of the images, before they were fitted to the network.
    """

    images: npt.NDArray[np.float32]
    labels: npt.NDArray[np.uint8]
    stems: tuple[str, ...]
    groups: tuple[str, ...]
    originals: tuple[Original, ...] = ()


def load_samples(
    samples: Sequence[Sample],
    preprocessing: Preprocessing,
    labels: int,
    step: Step = idle,
    *,
    tiled: bool = False,
    multi_label: bool = False,
) -> Arrays:
    """Read, check and preprocess images and masks.

    Args:
        samples: of a `Dataset`, with masks.
        preprocessing: of the model.
        labels: number of classes, background included.
        step: called after each sample.
        tiled: for scoring: an image that "pad" finds larger than the network becomes several inputs that show all of it, with
            every pixel scored once, and nothing is scored where a smaller one is padded. Otherwise it is one input, cropped or
            padded with background.
        multi_label: the model's classes may overlap.

    Raises:
        DataError: no samples, more than fit into memory or on the disk, a file that cannot be used, or masks whose classes may
            overlap where those of the model may not, or the reverse; the message names it.
        ConfigError: as `memory.allowed_bytes`.
    """
    if not samples:
        raise DataError("there are no images to load")
    _check_overlap(samples[0], labels, multi_label)
    stacks = find_stacks([sample.image for sample in samples], preprocessing.slices)
    counts = [_inputs_of(sample, preprocessing, tiled) for sample in samples]
    check_room(sum(counts), preprocessing)
    parts = _read_parts(samples, stacks, preprocessing, labels, step, tiled=tiled)
    if fits_memory(array_bytes(sum(counts), preprocessing)):
        images, masks, originals = _join(parts, sum(counts), preprocessing)
    else:
        key = _key(samples, stacks, preprocessing, labels, tiled)
        split = map_split(key, sum(counts), preprocessing, parts)
        images, masks, originals = split.images, split.labels, split.originals
    spacings = find_spacings([sample.image for sample in samples])
    originals = tuple(replace(one, spacing=spacing) for one, spacing in zip(originals, spacings, strict=True))
    stems, groups = (
        tuple(name for name, count in zip(names, counts, strict=True) for _ in range(count))
        for names in ((s.stem for s in samples), (s.group for s in samples))
    )
    return Arrays(images, masks, stems, groups, originals)


def _check_overlap(sample: Sample, labels: int, multi_label: bool) -> None:
    """Raise DataError unless the values of masks mean what the model's labels mean; of a single class both codes agree."""
    overlap = sample.options.rule.multi_label
    if overlap == multi_label or labels == 2:
        return
    kinds = {True: "classes that may overlap (multi-label)", False: "one class a pixel"}
    raise DataError(
        f"the model has {kinds[multi_label]}, and the masks beside {sample.mask} {kinds[overlap]}",
        mend="Train a model on these data, or give data of its kind: `u3p-edge data import --overlap keep` writes masks of "
        "overlapping classes, --overlap first or last those of one class a pixel.",
    )


def count_inputs(samples: Sequence[Sample], preprocessing: Preprocessing, *, tiled: bool = False) -> int:
    """Count the inputs that `load_samples` makes of samples. Raises DataError for an image whose size cannot be read."""
    return sum(_inputs_of(sample, preprocessing, tiled) for sample in samples)


def _inputs_of(sample: Sample, preprocessing: Preprocessing, tiled: bool) -> int:
    return grid_of(picture_size(sample.image), preprocessing).count if tiled and preprocessing.fit == "pad" else 1


def _read_parts(
    samples: Sequence[Sample], stacks: Stacks, preprocessing: Preprocessing, labels: int, step: Step, *, tiled: bool
) -> Iterator[Inputs]:
    """Read one sample after the other, each as the inputs that it makes."""
    read = make_reader(preprocessing)
    for sample, stack in zip(samples, stacks, strict=True):
        yield _read_pair(sample, read(stack, sample.options.max_pixels), preprocessing, labels, tiled=tiled)
        step()


def _join(
    parts: Iterator[Inputs], count: int, preprocessing: Preprocessing
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], tuple[Original, ...]]:
    """Return the inputs of all images in arrays of `count` inputs."""
    size = network_size(preprocessing)
    images, masks = np.empty((count, *size, preprocessing.channels), np.float32), np.empty((count, *size), np.uint8)
    originals, first = [], 0
    for some, labels, original in parts:
        part = slice(first, first + len(some))
        images[part], masks[part] = some, labels
        originals.append(original)
        first = part.stop
    return images, masks, tuple(originals)


def _key(samples: Sequence[Sample], stacks: Stacks, preprocessing: Preprocessing, labels: int, tiled: bool) -> str:
    """Return the hexadecimal sha256 of all that decides the arrays: the files, how they are read, and by which versions."""
    versions = (__version__, np.__version__, PIL.__version__)
    digest = hashlib.sha256(repr((versions, preprocessing, labels, tiled)).encode())
    images = {image: _digest(image) for image in dict.fromkeys(itertools.chain.from_iterable(stacks))}
    for sample, stack in zip(samples, stacks, strict=True):
        seen = tuple(images[image] for image in stack)
        digest.update(repr((seen, sample.mask and _digest(sample.mask), sample.options)).encode())
    return digest.hexdigest()


def _digest(path: Path) -> str:
    """Return the sha256 of a file; empty where it cannot be read, which the reader of images says better."""
    try:
        return sha256_of(path)
    except OSError:
        return ""


def _read_pair(sample: Sample, image: Pixels, preprocessing: Preprocessing, labels: int, *, tiled: bool) -> Inputs:
    """Return the image of one sample, and read its mask, as the inputs that they make."""
    if sample.mask is None:
        raise DataError(f"{sample.image} has no mask", mend="Put one of the same stem into masks/.")
    mask = read_mask(sample.mask, labels, sample.options.max_pixels, sample.options.rule)
    check_sizes(sample.image, image.shape[:2], sample.mask, mask.shape)
    foreground = _foreground(mask)
    with name_file(sample.image):
        if tiled and preprocessing.fit == "pad":
            images = np.stack(list(itertools.chain.from_iterable(inputs(image, preprocessing))))
            masks = np.stack(list(score_tiles(mask, preprocessing)))
        else:
            images, masks = preprocess(image, preprocessing)[None], fit_labels(mask, preprocessing)[None]
    size = (mask.shape[0], mask.shape[1])
    larger = size[0] > preprocessing.height or size[1] > preprocessing.width
    if preprocessing.fit == "resize" or tiled or not larger:
        return images, masks, Original(size, foreground, foreground)
    return images, masks, Original(size, foreground, _foreground(masks[0]), cropped=True)


def _foreground(mask: npt.NDArray[np.uint8]) -> int:
    return int(np.count_nonzero((mask != 0) & (mask != IGNORE)))


def infer_labels(dataset: Dataset) -> int:
    """Infer the number of classes from all masks of a data set, as `classes.count_classes` does.

    Raises:
        DataError: a mask that cannot be read or that does not fit the others, or a number that makes no sense.
    """
    samples = [sample for sample in dataset.samples if sample.mask is not None]
    rule = samples[0].options.rule if samples else AS_STORED
    masks = [
        MaskValues(s.mask, distinct_values(read_values(s.mask, s.options.max_pixels, rule)))
        for s in samples
        if s.mask is not None
    ]
    labels = count_classes(masks, rule)
    classes = [to_classes(mask.values, labels, mask.path, rule) for mask in masks]
    if not rule.colours and not rule.multi_label:
        check_count(labels, sorted({int(k) for some in classes for k in some} - {IGNORE}), dataset.root)
    return labels


def check_sizes(image: Path, image_size: tuple[int, ...], mask: Path, mask_size: tuple[int, ...]) -> None:
    """Raise DataError unless image and mask have one height and width."""
    if image_size != mask_size:
        quarter = image_size == mask_size[::-1]
        raise DataError(
            f"{image} has {image_size[0]}x{image_size[1]} pixels (height x width) but its mask {mask} "
            f"{mask_size[0]}x{mask_size[1]}",
            mend="One of them lies on its side; an EXIF orientation turns an image." if quarter else "Export both at one size.",
        )
