"""Random variations of a training image and its labels: geometry in one resampling, then intensities.

Each transformation is drawn independently, all with the same probability. Geometry moves image and labels alike: flips are
exact; rotation, scaling and shift (together a random crop where they enlarge) are one affine map, bilinear for the
image and nearest for the labels, with the image's minimum and background coming in from outside. Intensities are
relative to the image's range and stay inside it, so the network sees no value that preprocessing cannot give.
Further maps of the image, such as a network's probabilities, can be moved along.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from u3p_edge.data.augmentation import Augmentation

Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.uint8]


def augment(
    image: Floats, labels: Labels, rng: np.random.Generator, recipe: Augmentation | None = None
) -> tuple[Floats, Labels]:
    """Return a random variation of one training pair; the arguments are not changed.

    Args:
        image: float32 [H, W, C], preprocessed.
        labels: uint8 [H, W].
        rng: the only source of chance: the same state gives the same result.
        recipe: strengths; None is `Augmentation()`.

    Returns:
        image float32 [H, W, C] within the range of the one given, labels uint8 [H, W] with no class but those given
        and background.

    >>> image, labels = np.zeros((4, 4, 1), np.float32), np.eye(4, dtype=np.uint8)
    >>> mirror = Augmentation(probability=1, flip_vertical=False, rotation=0, scaling=0, shift=0, noise=0)
    >>> augment(image, labels, np.random.default_rng(0), mirror)[1]
    array([[0, 0, 0, 1],
           [0, 0, 1, 0],
           [0, 1, 0, 0],
           [1, 0, 0, 0]], dtype=uint8)
    """
    nothing = np.empty((*labels.shape, 0), np.float32)
    return augment_along(image, labels, nothing, (), rng, recipe)[:2]


def augment_along(
    image: Floats,
    labels: Labels,
    maps: npt.NDArray[Any],
    outside: Sequence[float],
    rng: np.random.Generator,
    recipe: Augmentation | None = None,
) -> tuple[Floats, Labels, Floats]:
    """Return the variation that `augment` draws, with maps that move as the image does and keep their values.

    Args:
        image, labels, rng, recipe: as `augment`; the same state of `rng` gives the same image and labels.
        maps: floating [H, W, P], moved bilinearly.
        outside: P values that come in from outside, one per map.

    Returns:
        image and labels as `augment`, maps float32 [H, W, P].
    """
    recipe = recipe or Augmentation()
    low, high = float(image.min()), float(image.max())
    axes = _flips(rng, recipe)
    image, maps, labels = np.flip(image, axes), np.flip(maps, axes).astype(np.float32), np.flip(labels, axes)
    transform = _affine(rng, recipe, labels.shape)
    if transform is not None:
        image = _resample(image, transform, (low,) * image.shape[2])
        maps = _resample(maps, transform, outside)
        labels = _read(labels, *transform, Image.Resampling.NEAREST, 0)
    return _intensities(image, rng, recipe, low, high), np.ascontiguousarray(labels), np.ascontiguousarray(maps)


def _flips(rng: np.random.Generator, recipe: Augmentation) -> tuple[int, ...]:
    """Draw the axes to mirror."""
    allowed = ((1, recipe.flip_horizontal), (0, recipe.flip_vertical))
    return tuple(axis for axis, may in allowed if may and rng.random() < recipe.probability)


def _affine(
    rng: np.random.Generator, recipe: Augmentation, size: tuple[int, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Draw rotation, scaling and shift about the centre, as matrix and offset for `_read`; None for none of them."""
    draws = [rng.random() < recipe.probability for _ in range(3)]
    if not any(draws):
        return None
    angle = np.deg2rad(rng.uniform(-recipe.rotation, recipe.rotation)) if draws[0] else 0.0
    scale = _factor(rng, recipe.scaling) if draws[1] else 1.0
    shift = rng.uniform(-recipe.shift, recipe.shift, 2) * np.array(size) if draws[2] else np.zeros(2)
    inverse = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    centre = np.array(size) / 2
    return inverse, centre - inverse @ (centre + shift)


def _resample(
    maps: Floats, transform: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]], outside: Sequence[float]
) -> Floats:
    """Resample every map [H, W, P] bilinearly; `transform` is the matrix and the offset for `_read`."""
    out = np.empty(maps.shape, np.float32)
    for i, fill in enumerate(outside):
        out[:, :, i] = _read(maps[:, :, i], *transform, Image.Resampling.BILINEAR, fill)
    return out


def _read(
    plane: npt.NDArray[Any],
    matrix: npt.NDArray[np.float64],
    offset: npt.NDArray[np.float64],
    how: Image.Resampling,
    fill: float,
) -> npt.NDArray[Any]:
    """Resample a plane: each result pixel (y, x) is read at matrix @ (y, x) + offset; pixel centres are at halves."""
    # Pillow's order is (x, y); it takes a tenth of the time of scipy.ndimage.affine_transform.
    (yy, yx), (xy, xx) = matrix
    data = (xx, xy, offset[1], yx, yy, offset[0])
    picture = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(picture.transform(picture.size, Image.Transform.AFFINE, data, how, fillcolor=fill))


def _intensities(image: Floats, rng: np.random.Generator, recipe: Augmentation, low: float, high: float) -> Floats:
    """Apply gamma, gain, bias field and noise to the image scaled to 0..1 by its range."""
    draws = [rng.random() < recipe.probability for _ in range(4)]
    span = high - low
    if not any(draws) or not span > 0:
        return np.array(image, np.float32)
    # Interpolation may leave the range by a rounding error, and a power of a negative number is no number.
    x = np.clip((image - np.float32(low)) / np.float32(span), 0, 1)
    if draws[0]:
        x = x ** np.float32(_factor(rng, recipe.gamma))
    if draws[1]:
        x = x * np.float32(_factor(rng, recipe.gain))
    if draws[2]:
        x = x * (1 + _bias_field(rng, recipe.bias, image.shape[0], image.shape[1]))[:, :, None]
    if draws[3]:
        x = x + np.float32(rng.uniform(0, recipe.noise)) * rng.standard_normal(x.shape, np.float32)
    return np.asarray(np.clip(np.clip(x, 0, 1) * np.float32(span) + np.float32(low), low, high), np.float32)


def _factor(rng: np.random.Generator, strength: float) -> float:
    """Draw a factor from 1 / (1 + strength) to 1 + strength, as often below 1 as above."""
    return float(np.exp(rng.uniform(-1, 1) * np.log1p(strength)))


def _bias_field(rng: np.random.Generator, strength: float, height: int, width: int) -> Floats:
    """Draw a random smooth field [H, W] of products of half cosine waves, within -strength .. strength."""
    waves = np.arange(4, dtype=np.float32)
    y, x = (np.cos(np.pi * waves * np.linspace(0, 1, n, dtype=np.float32)[:, None]) for n in (height, width))
    # Slow waves prevail, as in the fields of receive coils.
    weights = rng.standard_normal((4, 4), np.float32) / (1 + waves[:, None] + waves)
    field = y @ weights @ x.T
    out: Floats = field * np.float32(rng.uniform(0, strength) / max(float(np.abs(field).max()), 1e-6))
    return out
