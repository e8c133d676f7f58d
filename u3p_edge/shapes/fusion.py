"""Add the branches of a decoder instead of concatenating them, so that its fusion reads as many channels as one branch has.

A fusion of n branches has a kernel W_i for each. One kernel V for their sum is wanted that gives nearly the same,

    sum over i of W_i x_i  ≈  V (sum over i of x_i)

Where the branches x_i are uncorrelated and vary alike, which is what normalisation aims at, the expected squared error is
proportional to the sum over i of |W_i - V|². So the best V is the mean of the W_i. It is inherited; the loss is large, and the
network has to be trained on.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node, substitute, unused_name
from u3p_edge.shapes.branches import split_kernel
from u3p_edge.shapes.levels import Decoder, find_levels


def add_branches(graph: Graph) -> Graph:
    """Return the graph in which every decoder adds its branches, two at a time, deepest first.

    Raises:
        ModelError: the graph is no UNet 3+, or the branches of a decoder differ in their number of channels.
    """
    for decoder in find_levels(graph).decoders:
        graph = _added(graph, decoder)
    return graph


def _added(graph: Graph, decoder: Decoder) -> Graph:
    counts = [branch.channels for branch in decoder.branches]
    if len(set(counts)) > 1:
        listed = ", ".join(map(str, counts))
        raise ModelError(
            f"the maps that {decoder.join!r} joins have {listed} channels and cannot be added",
            mend="Change the shape before channels are pruned.",
        )
    fusion = graph[decoder.fusion]
    mean = np.mean(split_kernel(fusion.weights["kernel"], decoder), axis=0, dtype=np.float64)
    kernel = mean.astype(fusion.weights["kernel"].dtype)
    graph = substitute(graph, fusion.name, (replace(fusion, weights={**fusion.weights, "kernel": kernel}),))
    return substitute(graph, decoder.join, _sums(graph, decoder))


def _sums(graph: Graph, decoder: Decoder) -> list[Node]:
    """Return additions of two maps each; integers need a scale for every partial sum."""
    running, *others = (branch.result for branch in decoder.branches)
    nodes = list[Node]()
    for number, other in enumerate(others, 1):
        nodes.append(Node(unused_name(graph, f"{decoder.fusion}_sum{number}"), "add", (running, other)))
        running = nodes[-1].name
    return nodes
