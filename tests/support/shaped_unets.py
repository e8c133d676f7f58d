"""A small UNet 3+ as it is trained, with a head at every level, and what its shapes are compared with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from tests.support.prunable_graphs import draw_weights
from tests.support.rewrite_sites import drawn
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.reference import run
from u3p_edge.models.config import preset

Array = np.ndarray[Any, Any]

WIDTH = 4
"""Channels of its first scale and of every branch."""

SIDE = 32
CLASSES = 3


@cache
def training_unet(**options: Any) -> Graph:
    """For 32x32 images of one channel and three classes; statistics and biases as a trained one has."""
    from u3p_edge.graph.keras_io import from_keras
    from u3p_edge.models.unet3plus import build

    sizes = {"input_shape": (SIDE, SIDE, 1), "base_width": WIDTH, "classes": CLASSES}
    graph = from_keras(build(preset("article", **{**sizes, **options})))
    return draw_weights(graph)


@cache
def inference_unet(**options: Any) -> Graph:
    """The same network for inference."""
    return inference_graph(training_unet(**options)).graph


def count_ops(graph: Graph) -> Counter[str]:
    """How many nodes of each op."""
    return Counter(node.op for node in graph.nodes)


def values_of(graph: Graph, *names: str, image: Array | None = None) -> dict[str, Array]:
    """The maps of those nodes, or the outputs, of a drawn image, in float64."""
    shape = graph.shapes[graph.inputs[0]]
    feeds: Mapping[str, Array] = {graph.inputs[0]: drawn(11, *shape) if image is None else image}
    return run(graph, feeds, names or None, dtype=np.float64)
