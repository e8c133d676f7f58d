"""A run small enough for tests: bright discs on a dark, noisy ground.

    python -m tests.support.tiny_run FOLDER

trains `RECIPE` on `DATA` in a process of its own.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from u3p_edge.data.augmentation import Augmentation
from u3p_edge.data.load import Arrays
from u3p_edge.training.loop import train
from u3p_edge.training.prepare import TrainData
from u3p_edge.training.recipe import TrainRecipe


def discs(count: int, seed: int, *, empty_every: int = 0) -> Arrays:
    """Images of 32x32 with one disc each (label 1); every `empty_every`-th has none."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32]
    labels = np.zeros((count, 32, 32), np.uint8)
    for i in range(count):
        if empty_every and i % empty_every == 0:
            continue
        cy, cx, radius = rng.uniform(10, 22), rng.uniform(10, 22), rng.uniform(5, 9)
        labels[i] = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
    images = (0.2 + 0.6 * labels + 0.1 * rng.standard_normal(labels.shape)).astype(np.float32)[..., None]
    stems = tuple(f"disc{seed}_{i}" for i in range(count))
    return Arrays(images, labels, stems, stems)


def tiny_data(*, empty_every: int = 0) -> TrainData:
    """16 training, 4 validation and 4 test images."""
    return TrainData(*(discs(n, seed, empty_every=empty_every) for n, seed in ((16, 1), (4, 2), (4, 3))))


def tiny_recipe(**options: Any) -> TrainRecipe:
    """Base 4, 32x32, no deep supervision (a short trace), batches of 4."""
    given: dict[str, Any] = {
        "base_width": 4, "size": (32, 32), "channels": 1, "labels": 2, "deep_supervision": False, "epochs": 4,
        "batch_size": 4, "learning_rate": 1e-2, "warmup_epochs": 1, "patience": 0, "augmentation": Augmentation(),
    }  # fmt: skip
    return TrainRecipe(**{**given, **options})


EPOCHS = 10
RECIPE = tiny_recipe(epochs=EPOCHS, cgm=True, gate_patience=0)
"""With the gate, its dropout and augmentation: all that draws random numbers. It is never frozen, to compile one step only."""

DATA = tiny_data(empty_every=4)


if __name__ == "__main__":
    train(RECIPE, DATA, Path(sys.argv[1]))
