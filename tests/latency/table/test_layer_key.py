"""A signature is what decides the time of a graph, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.timed_graphs import conv_and_pool
from u3p_edge.graph.ir import KERAS, Graph
from u3p_edge.latency.table.layer_key import layer_key


def test_weights_and_names_do_not_count() -> None:
    first = layer_key(conv_and_pool())
    assert first == layer_key(conv_and_pool(seed=1))
    assert first == layer_key(conv_and_pool(names="_other"))
    assert first == layer_key(replace(conv_and_pool(), name="another"))
    assert first == layer_key(conv_and_pool(**dict[str, Any]({KERAS: {"trainable": False}})))


def test_an_open_batch_is_one_image() -> None:
    graph = conv_and_pool()
    image = replace(graph.nodes[0], attrs={"shape": (1, 16, 16, 2)})
    assert layer_key(replace(graph, nodes=(image, *graph.nodes[1:]))) == layer_key(graph)


@pytest.mark.parametrize(
    "other",
    [
        conv_and_pool(channels=5),
        conv_and_pool(size=18),
        conv_and_pool(activation="relu"),
        conv_and_pool(dilation=(2, 2)),
        replace(conv_and_pool(), outputs=("conv",)),
        replace(conv_and_pool(), outputs=("pool", "conv")),
    ],
    ids=["weight shape", "map size", "activation", "dilation", "output", "outputs"],
)
def test_what_changes_the_time_counts(other: Graph) -> None:
    assert layer_key(other) != layer_key(conv_and_pool())


def test_a_bias_counts() -> None:
    graph = conv_and_pool()
    conv = graph["conv"]
    biased = replace(conv, weights={**conv.weights, "bias": np.zeros(4, np.float32)})
    assert layer_key(replace(graph, nodes=(graph.nodes[0], biased, graph.nodes[2]))) != layer_key(graph)
