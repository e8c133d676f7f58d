"""The article preset computes what the article's own code computes, given the same weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras

from u3p_edge.models.config import preset
from u3p_edge.models.unet3plus import build

SHAPE = (32, 48, 1)

# The imports that the article gives and those it forgot, from the Keras that this project uses.
IMPORTS = """
from tf_keras import backend as K
from tf_keras.models import Model
from tf_keras.layers import *
from tf_keras.layers import add, concatenate
"""


@pytest.fixture(scope="module")
def article(shared: Path) -> Callable[..., tf_keras.Model]:
    """The article's builder, cut out of its text by its section headings."""
    text = (shared / "seed" / "unet3plus_keras_article.txt").read_text(encoding="utf-8")
    helpers = text[text.index("# helper function") : text.index("3.搭建网络")]
    builder = text[text.index("# build unet3+ model") : text.index("4.创建模型")]
    names: dict[str, Any] = {}
    exec(IMPORTS + helpers + builder, names)
    made: Callable[..., tf_keras.Model] = names["unet3p_2d"]
    return made


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        pytest.param({}, {}, marks=pytest.mark.slow),  # the others have all of it
        (
            {"using_deep_supervision": False, "using_cgm": True, "class_num": 3},
            {"deep_supervision": False, "cgm": True, "classes": 3},
        ),
        (
            {"use_residual": True, "double_features": True, "down_pattern": "conv"},
            {"residual": True, "double_features": True, "down_pattern": "conv"},
        ),
        ({"norm_type": None, "down_pattern": "normconv"}, {"normalization": "none", "down_pattern": "normconv"}),
        ({"norm_type": "layer", "down_pattern": "avgpooling"}, {"normalization": "layer", "down_pattern": "average"}),
    ],
)
def test_same_weights_same_outputs(
    article: Callable[..., tf_keras.Model], theirs: dict[str, Any], ours: dict[str, Any]
) -> None:
    tf_keras.utils.set_random_seed(0)
    reference = article(input_shape=SHAPE, initial_features=4, show_summary=False, **theirs)
    model = build(preset("article", input_shape=SHAPE, base_width=4, **ours))
    rng = np.random.default_rng(0)
    # Kernels stay as they were drawn, so that no sigmoid saturates; biases, scales, shifts and statistics are moved.
    weights = [w if w.ndim == 4 else w + rng.uniform(0, 0.2, w.shape) for w in reference.get_weights()]
    reference.set_weights(weights)
    model.set_weights(weights)
    image = rng.random((2, *SHAPE), np.float32)
    for name, expected, actual in zip(model.output_names, listed(reference(image)), listed(model(image)), strict=True):
        assert np.std(expected) > 1e-4, f"{name} says nothing"
        if name in ("output_de2", "output_de3", "output_de4", "output_de5"):
            # The article upsamples these by nearest neighbour. Logits interpolated between neighbours stay between them.
            assert np.max(actual) <= np.max(expected) + 1e-6
            assert np.min(actual) >= np.min(expected) - 1e-6
            assert np.max(np.abs(actual - expected)) > 1e-6
        else:
            # The same operations in the same order, up to how the library blocks its float32 sums.
            np.testing.assert_allclose(actual, expected, atol=1e-6)


def listed(outputs: Any) -> list[Any]:
    return [np.asarray(out) for out in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]
