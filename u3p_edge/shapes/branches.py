"""Switch branches of decoders off. With all but two switched off in each decoder, a UNet 3+ has the topology of a plain UNet:

    decoder t  =  fusion(encoder t, decoder t + 1)        where the deepest decoder reads the deepest encoder

The fusion reads its branches side by side, so a branch that goes takes its input slices of the fusion's kernel along. What is
left computes what the whole network computes if those slices are zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node, subgraph, substitute
from u3p_edge.graph.ops.op import Array
from u3p_edge.shapes.levels import Branch, Decoder, find_levels


def reduce_to_plain(graph: Graph) -> Graph:
    """Return the graph whose decoders read the encoder of their own level and the level below, and nothing else.

    Raises:
        ModelError: the graph is no UNet 3+, has this topology already, or one of its decoders reads neither of the two.
    """
    made = graph
    for decoder in find_levels(graph).decoders:
        height, width = decoder.size
        near = {(height, width), (height // 2, width // 2)}
        made = keep_branches(made, decoder, [branch for branch in decoder.branches if branch.size in near])
    if made is graph:
        raise ModelError("the network has the topology of a plain UNet already")
    return subgraph(made, made.outputs)


def keep_branches(graph: Graph, decoder: Decoder, kept: Sequence[Branch]) -> Graph:
    """Return the graph with only some branches of one decoder. Nodes that nothing reads any more stay.

    Raises:
        ModelError: no branch would be left.
    """
    if len(kept) == len(decoder.branches):
        return graph
    if not kept:
        raise ModelError(f"no branch would be left for {decoder.join!r} to join")
    join, fusion = graph[decoder.join], _read_only_from(graph[decoder.fusion], decoder, kept)
    graph = substitute(graph, fusion.name, (fusion,))
    if len(kept) == 1:
        return substitute(graph, join.name, (), result=kept[0].result)
    return substitute(graph, join.name, (replace(join, inputs=tuple(branch.result for branch in kept)),))


def split_kernel(kernel: Array, decoder: Decoder) -> list[Array]:
    """Return the slices of a fusion's kernel [kh, kw, in, out] that read each of the decoder's branches, in their order."""
    ends = np.cumsum([branch.channels for branch in decoder.branches])
    return np.split(kernel, ends[:-1], axis=2)


def _read_only_from(fusion: Node, decoder: Decoder, kept: Sequence[Branch]) -> Node:
    slices = zip(decoder.branches, split_kernel(fusion.weights["kernel"], decoder), strict=True)
    kernel = np.concatenate([part for branch, part in slices if branch in kept], axis=2)
    return replace(fusion, weights={**fusion.weights, "kernel": kernel})
