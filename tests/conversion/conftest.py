"""Images that small networks are calibrated and run with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.unets import SIZE


@pytest.fixture(scope="session")
def images() -> npt.NDArray[np.float32]:
    """Eight smooth images in 0..1: noise alone would exercise nothing but averages."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] / 16
    waves = [np.sin(x * a + b) * np.cos(y * b + a) for a, b in rng.uniform(0.5, 2.0, (8, 2))]
    return ((np.stack(waves) + 1) / 2 + rng.uniform(0, 0.05, (8, *SIZE)))[..., np.newaxis].astype(np.float32)
