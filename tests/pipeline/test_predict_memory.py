"""Prediction keeps neither images nor masks: its memory does not grow with their number."""

from __future__ import annotations

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
IMAGES, SETTLED = 200, 40


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells what memory no file backs")
def test_memory_does_not_grow_with_the_number_of_images(threshold: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = tmp_path / "a.png"
    Image.fromarray(rng.integers(0, 255, (SIDE, SIDE), np.uint8)).save(image)
    memory = MemoryCurve(1)
    jobs = [Job(image, tmp_path / "masks" / f"{i}.png", None) for i in range(IMAGES)]
    results = predict_all(open_session(threshold), jobs, step=memory("Predict", IMAGES))
    assert all(isinstance(result, Predicted) for result in results)
    assert len(list((tmp_path / "masks").iterdir())) == IMAGES
    curve = np.array([anonymous for _, anonymous, _ in memory.points["Predict"]])
    # Kept, the images or the masks alone would add one byte a pixel, 10.5 MB from there on. A quarter of that is left for what
    # the interpreter and its allocator happen to do.
    kept = (IMAGES - SETTLED) * SIDE**2 / 1e6
    assert curve[SETTLED:].max() - curve[:SETTLED].max() < kept / 4
