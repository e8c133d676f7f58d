"""Small real networks with statistics that folding must respect, and their int8 files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.models.config import preset

SIZE = (48, 64)


@pytest.fixture(scope="session")
def images() -> npt.NDArray[np.float32]:
    """Eight smooth images in 0..1: noise alone would exercise nothing but averages."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] / 16
    waves = [np.sin(x * a + b) * np.cos(y * b + a) for a, b in rng.uniform(0.5, 2.0, (8, 2))]
    return ((np.stack(waves) + 1) / 2 + rng.uniform(0, 0.05, (8, *SIZE)))[..., np.newaxis].astype(np.float32)


@pytest.fixture(scope="session")
def network() -> Callable[..., tuple[Any, Metadata]]:
    """A base-4 UNet 3+ of one output, with batch statistics as a trained one has, and its metadata."""
    import tf_keras

    from u3p_edge.models.unet3plus import build

    def make(**options: Any) -> tuple[Any, Metadata]:
        tf_keras.utils.set_random_seed(0)
        config = preset("article", input_shape=(*SIZE, 1), base_width=4, deep_supervision=False, **options)
        model = build(config)
        rng = np.random.default_rng(1)
        for layer in model.layers:
            if isinstance(layer, tf_keras.layers.BatchNormalization):
                gamma, beta, mean, variance = layer.get_weights()
                layer.set_weights(
                    [
                        rng.normal(1, 0.2, gamma.shape),
                        rng.normal(0, 0.1, beta.shape),
                        rng.normal(0, 0.1, mean.shape),
                        rng.uniform(0.5, 1.5, variance.shape),
                    ]
                )
        return model, default_metadata(Preprocessing(*SIZE), labels=max(2, config.classes))

    return make
