"""Prediction keeps neither images nor masks: its memory does not grow with their number."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.lib.process_memory import MemoryCurve
from u3p_edge.pipeline.jobs import Job
from u3p_edge.pipeline.predict import predict_all
from u3p_edge.pipeline.predictions import Predicted
from u3p_edge.runtime import open_session

SIDE = 256
IMAGES, WINDOW = 240, 40


def follow_memory(model: Path, image: Path, masks: Path) -> list[float]:
    """Return the memory without a file behind it after each of `IMAGES` images, in MB of 10^6 bytes."""
    memory = MemoryCurve(1)
    jobs = [Job(image, masks / f"{i}.png", None) for i in range(IMAGES)]
    results = predict_all(open_session(model), jobs, step=memory("Predict", IMAGES))
    assert all(isinstance(result, Predicted) for result in results)
    return [anonymous for _, anonymous, _ in memory.points["Predict"]]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what memory no file backs")
def test_memory_does_not_grow_with_the_number_of_images(threshold: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image, masks = tmp_path / "a.png", tmp_path / "masks"
    Image.fromarray(rng.integers(0, 255, (SIDE, SIDE), np.uint8)).save(image)
    # In a process of its own: this one has what other tests left, and frees some of it at any time.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        curve = pool.apply(follow_memory, (threshold, image, masks))
    assert len(list(masks.iterdir())) == len(curve) == IMAGES
    # The first images warm caches up. From the median of the next ones to that of the last, images or masks that are kept would
    # add one byte a pixel, 10.5 MB. A quarter of that is left for what the interpreter and its allocator happen to do.
    growth = np.median(curve[-WINDOW:]) - np.median(curve[WINDOW : 2 * WINDOW])
    kept = (IMAGES - 2 * WINDOW) * SIDE**2 / 1e6
    assert growth < kept / 4
