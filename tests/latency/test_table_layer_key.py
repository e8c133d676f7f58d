"""A signature is what decides the time of a graph, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from u3p_edge.graph.ir import KERAS, Graph, Node, rename
from u3p_edge.latency.table.layer_key import layer_key


def network(channels: int = 4, size: int = 16, seed: int = 0, names: str = "", **attrs: Any) -> Graph:
    """A convolution and a pooling over a square map."""
    kernel = np.random.default_rng(seed).standard_normal((3, 3, 2, channels), np.float32)
    conv = Node("conv", "conv", ("image",), {"padding": "same", **attrs}, {"kernel": kernel})
    nodes = (Node("image", "input", (), {"shape": (None, size, size, 2)}), conv, Node("pool", "max_pool", ("conv",)))
    graph = Graph(nodes, ("image",), ("pool",))
    return rename(graph, {node.name: node.name + names for node in graph.nodes})


def test_weights_and_names_do_not_count() -> None:
    first = layer_key(network())
    assert first == layer_key(network(seed=1))
    assert first == layer_key(network(names="_other"))
    assert first == layer_key(replace(network(), name="another"))
    assert first == layer_key(network(**{KERAS: {"trainable": False}}))


def test_an_open_batch_is_one_image() -> None:
    graph = network()
    image = replace(graph.nodes[0], attrs={"shape": (1, 16, 16, 2)})
    assert layer_key(replace(graph, nodes=(image, *graph.nodes[1:]))) == layer_key(graph)


@pytest.mark.parametrize(
    "other",
    [
        network(channels=5),
        network(size=18),
        network(activation="relu"),
        network(dilation=(2, 2)),
        replace(network(), outputs=("conv",)),
        replace(network(), outputs=("pool", "conv")),
    ],
    ids=["weight shape", "map size", "activation", "dilation", "output", "outputs"],
)
def test_what_changes_the_time_counts(other: Graph) -> None:
    assert layer_key(other) != layer_key(network())


def test_a_bias_counts() -> None:
    graph = network()
    conv = graph["conv"]
    biased = replace(conv, weights={**conv.weights, "bias": np.zeros(4, np.float32)})
    assert layer_key(replace(graph, nodes=(graph.nodes[0], biased, graph.nodes[2]))) != layer_key(graph)
