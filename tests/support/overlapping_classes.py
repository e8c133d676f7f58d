"""Images of two classes that overlap, with one mask file for each, and a network that tells them apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (48, 64)
CLASSES = ("blob", "bar")


def members(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Which pixels are of each class, bool [H, W]: a disc whose place depends on the seed, and a bar across it (1 has none)."""
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]]
    return (y - 20 - seed % 5) ** 2 + (x - 24 - 2 * (seed % 7)) ** 2 < 14**2, (y > 22) & (y < 32 + seed % 4) & (seed != 1)


def image(seed: int) -> np.ndarray:
    """A noisy image uint8 [H, W, 3]: one class is brighter in red, the other in green."""
    blob, bar = members(seed)
    noise = 12 * np.random.default_rng(seed).standard_normal((*SIZE, 3))
    clean = np.stack([60 + 130 * blob, 60 + 130 * bar, np.full(SIZE, 90)], axis=2)
    return np.clip(clean + noise, 0, 255).astype(np.uint8)


def make_masks_by_class(root: Path, count: int = 10) -> Path:
    """A folder with `count` images and masks/blob, masks/bar; what has no pixel in an image has no file either."""
    for kind in ("images", *(f"masks/{name}" for name in CLASSES)):
        (root / kind).mkdir(parents=True)
    for seed in range(count):
        Image.fromarray(image(seed)).save(root / "images" / f"p{seed}.png")
        for name, member in zip(CLASSES, members(seed), strict=True):
            if member.any():
                Image.fromarray(member.astype(np.uint8) * 255).save(root / "masks" / name / f"p{seed}.png")
    return root


def make_network(path: Path, activation: str = "sigmoid") -> Path:
    """A Keras file of a network that smooths the image and gives a channel for each class."""
    import tf_keras as keras

    keras.utils.set_random_seed(3)
    layers = keras.layers
    picture = keras.Input((*SIZE, 3), name="image")
    smooth = layers.Conv2D(4, 3, padding="same", activation="relu", name="smooth")
    head = layers.Conv2D(len(CLASSES), 1, activation=activation, name="mask")
    model = keras.Model(picture, head(smooth(picture)))
    kernel = np.zeros((3, 3, 3, 4), np.float32)
    for channel in range(4):
        kernel[:, :, channel % 3, channel] = 1 / 9
    smooth.set_weights([kernel, np.zeros(4, np.float32)])
    # Pixels are divided by 255; a class is where its colour is above the middle of 60 and 190.
    head.set_weights([24 * np.eye(4, 2, dtype=np.float32)[None, None], np.full(2, -24 * 125 / 255, np.float32)])
    model.save(path)
    return path
