"""Small real UNet 3+ with statistics that folding must respect."""

from __future__ import annotations

from typing import Any

import numpy as np

from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.models.config import preset

SIZE = (48, 64)


def make_unet(**options: Any) -> tuple[Any, Metadata]:
    """A base-4 UNet 3+ of one output for images of `SIZE`, with batch statistics as a trained one has, and its metadata."""
    import tf_keras

    from u3p_edge.models.unet3plus import build

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
