"""From pixels to the network's input and back, as the metadata of a model says; NumPy and Pillow alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from u3p_edge.config import Preprocessing
from u3p_edge.errors import DataError

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]
Size = tuple[int, int]


def apply(image: npt.NDArray[Any], preprocessing: Preprocessing) -> Floats:
    """Normalise the whole image, then fit it to the network's input.

    Args:
        image: [H, W, C] of uint8, uint16 or float, as `read_image` gives it.
        preprocessing: what training applied.

    Returns:
        float32 [height, width, C], finite; a constant image becomes zeros under "percentile" and "zscore".

    Raises:
        DataError: pixels that are not finite, another number of channels, "range" of floats outside 0..1, or "meanstd"
            that leaves the range of float32.
    """
    if image.ndim != 3 or image.shape[2] != preprocessing.channels:
        raise DataError(f"an image of shape {image.shape} is not [height, width, {preprocessing.channels}]")
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise DataError("the image has pixels that are not numbers (NaN or infinite)", mend="Replace them, for example by 0.")
    normalised = normalise(image, preprocessing)
    if preprocessing.fit == "pad":
        return _place(normalised, _size(preprocessing), _darkest(image, normalised, preprocessing))
    return _resize(normalised, _size(preprocessing))


def normalise(image: npt.NDArray[Any], preprocessing: Preprocessing) -> Floats:
    """Intensities as `preprocessing` says, float32 of the same shape.

    The channels of RGB share what is measured on the image (percentiles, mean and deviation); only "meanstd" has values
    of its own for each channel. Raises DataError as `apply`.
    """
    kind = preprocessing.normalization
    if kind == "none":
        return image.astype(np.float32)
    if kind == "meanstd":
        return _by_mean_and_std(image, preprocessing)
    if kind == "range":
        return _by_range(image)
    pixels = image.astype(np.float64)
    if kind == "zscore":
        return _scaled(pixels, float(pixels.mean()), float(pixels.std()))
    low, high = np.percentile(pixels, (preprocessing.low, preprocessing.high))
    if low == high:  # nearly all pixels are equal: what differs must not be clipped away
        low, high = pixels.min(), pixels.max()
    return _scaled(np.clip(pixels, low, high), float(low), float(high - low))


def fit_mask(mask: Labels, preprocessing: Preprocessing) -> Labels:
    """Fit labels uint8 [H, W] to the network's input: nearest neighbour, or pad with background and crop."""
    size = _size(preprocessing)
    if preprocessing.fit == "pad":
        return _place(mask[:, :, None], size, 0)[:, :, 0]
    if mask.shape == size:
        return mask
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def restore(probabilities: Floats, original_size: Size, preprocessing: Preprocessing) -> Floats:
    """Bring the network's output back to the size of the image: the inverse of the fit.

    Args:
        probabilities: float32 [height, width, K] of the network.
        original_size: (H, W) of the image.
        preprocessing: that `apply` was given.

    Returns:
        float32 [H, W, K]: resized bilinearly; or, for "pad", without the padding, and with certain background where the
        image had been cropped.
    """
    if probabilities.shape[:2] != _size(preprocessing):
        raise ValueError(f"probabilities {probabilities.shape} are not of the network's {_size(preprocessing)}")
    if preprocessing.fit == "resize":
        return _resize(probabilities, original_size)
    out = _place(probabilities, original_size, 0)
    if probabilities.shape[2] > 1:
        inside = _place(np.ones((*probabilities.shape[:2], 1), np.uint8), original_size, 0)[:, :, 0]
        out[:, :, 0] = np.where(inside == 1, out[:, :, 0], 1)
    return out


def to_labels(probabilities: Floats) -> Labels:
    """Labels uint8 [H, W] of probabilities [H, W, K]: 1 where p >= 0.5 when K is 1, else the most probable class."""
    if probabilities.shape[2] == 1:
        return np.where(probabilities[:, :, 0] >= 0.5, 1, 0).astype(np.uint8)
    labels: Labels = probabilities.argmax(axis=2).astype(np.uint8)
    return labels


def _size(preprocessing: Preprocessing) -> Size:
    return preprocessing.height, preprocessing.width


def _scaled(pixels: npt.NDArray[np.float64], offset: float, scale: float) -> Floats:
    # A spread lost in rounding (a constant image, or nearly) would only blow up rounding errors.
    tiny = np.finfo(np.float32).tiny + 1e-12 * abs(offset)
    if scale <= tiny:
        return np.zeros(pixels.shape, np.float32)
    scaled = (pixels - offset) / scale
    return scaled.astype(np.float32)


def _by_mean_and_std(image: npt.NDArray[Any], preprocessing: Preprocessing) -> Floats:
    with np.errstate(over="ignore"):  # refused below
        scaled = (image - np.array(preprocessing.mean, np.float64)) / np.array(preprocessing.std, np.float64)
    if scaled.size and np.abs(scaled).max() > np.finfo(np.float32).max:
        raise DataError(
            f"mean {preprocessing.mean} and std {preprocessing.std} take pixels out of the range of float32",
            mend="Give them in raw pixel values.",
        )
    return scaled.astype(np.float32)


def _darkest(image: npt.NDArray[Any], normalised: Floats, preprocessing: Preprocessing) -> Floats:
    """What the image is padded with: its lowest pixel value, normalised; one number, or one a channel."""
    if preprocessing.normalization == "meanstd":
        return _by_mean_and_std(image.min().reshape(1), preprocessing)
    return np.asarray(normalised.min())


def _by_range(image: npt.NDArray[Any]) -> Floats:
    if image.dtype.kind == "u":
        scaled: Floats = (image / np.float64(np.iinfo(image.dtype).max)).astype(np.float32)
        return scaled
    low, high = float(image.min()), float(image.max())
    if low < 0 or high > 1:
        raise DataError(
            f"an image of {image.dtype} values {low:g} to {high:g} has no range to normalise by",
            mend='Use normalization "percentile" or "zscore", or 8 or 16 bit images.',
        )
    return image.astype(np.float32)


def _resize(values: Floats, size: Size) -> Floats:
    """Bilinear with half-pixel centres; shrinking averages over the pixels that fall together."""
    if values.shape[:2] == size:
        return values
    # Pillow's floating-point mode has one channel.
    planes = (Image.fromarray(np.ascontiguousarray(values[:, :, k])) for k in range(values.shape[2]))
    return np.stack([np.asarray(p.resize(size[::-1], Image.Resampling.BILINEAR)) for p in planes], axis=2)


def _place(values: npt.NDArray[Any], size: Size, fill: float | Floats) -> npt.NDArray[Any]:
    """Centred in `size`: padded with `fill` where smaller, cropped where larger; `_place` back to the size undoes it."""
    out = np.full((*size, values.shape[2]), fill, values.dtype)
    source, target = zip(*(_overlap(have, want) for have, want in zip(values.shape[:2], size, strict=True)), strict=True)
    out[target] = values[source]
    return out


def _overlap(have: int, want: int) -> tuple[slice, slice]:
    """Where a centred length `want` reads from a length `have`, and where it writes to."""
    kept = min(have, want)
    read, write = (have - kept) // 2, (want - kept) // 2
    return slice(read, read + kept), slice(write, write + kept)
