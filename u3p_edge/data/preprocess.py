"""Turn pixels into the network's input, and outputs into masks, by a model's metadata. Only NumPy and Pillow are needed.

An image of another size is resized ("resize") or padded ("pad"). Under "pad", an image that is larger than the network is cut
into overlapping tiles in prediction and scoring; training, which needs one input for each image, crops it to its middle.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from u3p_edge.config.metadata import OutputKind
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.intensity import PlaneMap, plane_map
from u3p_edge.data.resample import resize, resize_columns
from u3p_edge.data.tiles import TileGrid, blend, centre_window, cut, cut_mask, join_labels, nearest_part, tile_grid
from u3p_edge.errors import DataError
from u3p_edge.label_values import join_classes
from u3p_edge.metrics import IGNORE

Pixels = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Size = tuple[int, int]

_THRESHOLDS: Mapping[str, float] = MappingProxyType({"probabilities": 0.5, "logits": 0.0})
"""From where on a channel with a sigmoid of its own means its class."""


def preprocess(image: Pixels, preprocessing: Preprocessing) -> Floats:
    """Normalise the whole image, then fit it to the network's input. Under "pad" an image that is too large is cropped.

    Args:
        image: [H, W, C] of uint8, uint16 or float, as `read_image` gives it.
        preprocessing: what training applied.

    Returns:
        float32 [height, width, C], finite; a constant image becomes zeros under "percentile" and "zscore".

    Raises:
        DataError: pixels that are not finite, another number of channels, "range" of floats outside 0..1, or "meanstd"
            that leaves the range of float32.

    >>> image = np.full((2, 2, 1), 255, np.uint8)
    >>> preprocess(image, Preprocessing(16, 16, fit="pad", normalization="range")).shape
    (16, 16, 1)
    """
    values = _plane_map(image, preprocessing)
    if preprocessing.fit == "resize":
        return resize(image, values, network_size(preprocessing))
    crop = centre_window(image.shape[:2], network_size(preprocessing))
    return cut(image, values, _padding(image, values), crop, crop.tops[0], crop.lefts[0])


def inputs(image: Pixels, preprocessing: Preprocessing) -> Iterator[tuple[Floats, ...]]:
    """Return the network's inputs for a whole image: one, or under "pad" the tiles of an image that is too large.

    Yields:
        For each row of tiles, its inputs, each as `preprocess` gives one. Errors as `preprocess`, before the first.
    """
    if preprocessing.fit == "resize":
        return iter([(preprocess(image, preprocessing),)])
    values = _plane_map(image, preprocessing)
    padding, grid = _padding(image, values), grid_of(image.shape[:2], preprocessing)
    return (tuple(cut(image, values, padding, grid, top, left) for left in grid.lefts) for top in grid.tops)


def restore(
    outputs: Iterator[Sequence[Pixels]],
    original_size: Size,
    preprocessing: Preprocessing,
    output: OutputKind = "probabilities",
    multi_label: bool = False,
) -> Labels:
    """Return the mask of a whole image from the network's outputs for its `inputs`.

    Args:
        outputs: what the network gives, for each row of tiles: float32 [height, width, K], or labels uint8 [height, width].
        original_size: (H, W) of the image.
        preprocessing: that `inputs` was given.
        output, multi_label: what the network gives, as its metadata says.

    Returns:
        Labels uint8 [H, W]. Probabilities and logits are resized bilinearly, or, under "pad", blended where tiles overlap and
        taken without the padding; then see `to_labels`. Labels are resized to the nearest, and where tiles overlap they are
        those of the nearer tile.
    """
    if preprocessing.fit == "pad":
        grid = grid_of(original_size, preprocessing)
        if output == "labels":
            return join_labels(outputs, grid)
        return np.concatenate([to_labels(band, output, multi_label) for band in blend(outputs, grid)])
    ((whole,),) = outputs
    if whole.shape[:2] == original_size:
        return to_labels(whole, output, multi_label)
    if output == "labels":
        return _resize_nearest(whole, original_size)
    return _resize_labels(whole, original_size, _THRESHOLDS[output], multi_label)


def fit_labels(mask: Labels, preprocessing: Preprocessing) -> Labels:
    """Fit labels uint8 [H, W] to the network's input as `preprocess`: nearest neighbour, or pad with background and crop."""
    size = network_size(preprocessing)
    if preprocessing.fit == "pad":
        crop = centre_window(mask.shape, size)
        return cut_mask(mask, crop, crop.tops[0], crop.lefts[0])
    return mask if mask.shape == size else _resize_nearest(mask, size)


def score_tiles(mask: Labels, preprocessing: Preprocessing) -> Iterator[Labels]:
    """Return the mask uint8 [height, width] of each of an image's `inputs`, for scoring: every pixel counts in one tile.

    It counts in the tile whose middle it is nearer to (see `nearest_part`), and is `IGNORE` in the others. So is what is not in
    the image, which no mask of a prediction shows.
    """
    grid = grid_of(mask.shape, preprocessing)
    for i, top in enumerate(grid.tops):
        for j, left in enumerate(grid.lefts):
            part = nearest_part(grid.tops, i, grid.tile[0]), nearest_part(grid.lefts, j, grid.tile[1])
            tile = np.full(grid.tile, IGNORE, np.uint8)
            tile[part] = cut_mask(mask, grid, top, left, IGNORE)[part]
            yield tile


def to_labels(values: Pixels, output: OutputKind = "probabilities", multi_label: bool = False) -> Labels:
    """Return labels uint8 [H, W] for what a network gives.

    Args:
        values: probabilities or logits [H, W, K]. Where K is 1 the label is 1 for a probability of 0.5 or more, and for a logit
            of 0 or more; else it is the class of the largest, the first of equal ones. Labels [H, W] stay as they are.
        output: what the values are.
        multi_label: each channel is a class for itself, which a pixel has or not, as where K is 1; see `label_values`.

    >>> to_labels(np.array([[[0.2], [0.5]]], np.float32))
    array([[0, 1]], dtype=uint8)
    >>> to_labels(np.array([[[0.1, 0.7, 0.2]]], np.float32))
    array([[1]], dtype=uint8)
    >>> to_labels(np.array([[[0.7, 0.2, 0.6]]], np.float32), multi_label=True)
    array([[5]], dtype=uint8)
    """
    if output == "labels":
        return values
    return _decide((values[:, :, channel] for channel in range(values.shape[2])), _THRESHOLDS[output], multi_label)


def network_size(preprocessing: Preprocessing) -> Size:
    """Return (height, width) of the network's input."""
    return preprocessing.height, preprocessing.width


def grid_of(size: Size, preprocessing: Preprocessing) -> TileGrid:
    """Return the tiles in which an image (H, W) is predicted: one, except where "pad" finds it too large."""
    tile = network_size(preprocessing)
    return tile_grid(tile if preprocessing.fit == "resize" else size, tile)


def _plane_map(image: Pixels, preprocessing: Preprocessing) -> PlaneMap:
    if image.ndim != 3 or image.shape[2] != preprocessing.channels or not image.size:
        raise DataError(f"an image of shape {image.shape} is not [height, width, {preprocessing.channels}]")
    return plane_map(image, preprocessing)


def _padding(image: Pixels, values: PlaneMap) -> tuple[float, ...]:
    """Return the image's lowest pixel value, normalised, for each channel."""
    lowest = image.min().reshape(1, 1)
    return tuple(float(np.asarray(values(lowest, channel))[0, 0]) for channel in range(image.shape[2]))


def _resize_nearest(labels: Labels, size: Size) -> Labels:
    return np.asarray(Image.fromarray(labels).resize(size[::-1], Image.Resampling.NEAREST))


def _resize_labels(values: Floats, size: Size, threshold: float, multi_label: bool) -> Labels:
    labels = np.empty(size, np.uint8)
    channels = range(values.shape[2])
    for part in zip(*(resize_columns(values[:, :, channel], size) for channel in channels), strict=True):
        labels[:, part[0][0]] = _decide((plane for _, plane in part), threshold, multi_label)
    return labels


def _decide(planes: Iterable[Floats], threshold: float, multi_label: bool) -> Labels:
    """Return what `to_labels` does, from the channels [H, W] one after the other; a sigmoid's is compared with a threshold."""
    if multi_label:
        return join_classes(plane >= threshold for plane in planes)
    rest = iter(planes)
    best = next(rest)
    second = next(rest, None)
    if second is None:
        return (best >= threshold).view(np.uint8)
    best, labels, better = np.array(best), np.zeros(best.shape, np.uint8), np.empty(best.shape, bool)
    for label, plane in enumerate(itertools.chain((second,), rest), start=1):
        np.greater(plane, best, out=better)
        np.maximum(best, plane, out=best)
        # A later label is a larger number, so where it is better it is the maximum.
        np.maximum(labels, better.view(np.uint8) * np.uint8(label), out=labels)
    return labels
