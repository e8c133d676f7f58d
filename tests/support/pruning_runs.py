"""What tests of pruning ask for, and a device whose times are known."""

from __future__ import annotations

import re
from typing import Any

from tests.support.recipes import make_recipe
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.table.layers import TimedLayer
from u3p_edge.latency.table.table import LayerTimes
from u3p_edge.recipes.recipe import ExportRecipe, Pruning

PLANNED, TUNED, ASKED, TIMED = (
    *("Plan which channels to drop", "Fine-tune by distillation", "Predict with the teacher", "Time layers"),
)

ANYTHING = 100.0
"""Points of Dice: all that there are."""

EPOCH = 3
"""Gradient steps: six images, two a step."""


def known(key: str, alike: list[TimedLayer]) -> LayerTimes:
    """The times of layers of one key, with their least and their most channels; between them, time is linear along each axis.

    A 3x3 convolution takes a nanosecond for a hundred products, any other layer one for a hundred elements.
    """
    size = re.search(r"(\d+)x(\d+)", key)
    assert size is not None
    pixels, inputs, outputs = int(size[1]) * int(size[2]), max(layer.inputs for layer in alike), max(x.outputs for x in alike)
    entries = {
        (i, o): 1e-6 * pixels * (0.09 * i * o if o else 0.01 * i) for i in (1, inputs) for o in {min(1, outputs), outputs}
    }
    return LayerTimes(key, tuple((i, o, ms) for (i, o), ms in sorted(entries.items())))


def recipe(pruning: Pruning, max_drop: float = ANYTHING, **more: Any) -> ExportRecipe:
    """An export that prunes, and may lose any accuracy; where no device's table is given, this machine is timed."""
    return make_recipe(pruning=pruning, max_drop=max_drop, **{"rounds": 5, "profile": True, **more})


def to(ms: float, **more: Any) -> Pruning:
    """Pruned to a latency, and then trained a little or not at all."""
    return Pruning(latency_budget_ms=ms, **{"updates": 0, "final_updates": 0, "batch_size": 2, **more})


def channels(graph: Graph) -> dict[str, int]:
    """The channels of every map."""
    return {name: shape[-1] for name, shape in graph.shapes.items()}
