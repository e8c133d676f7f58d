"""The strided convolution that the encoder of a folded network begins with, and the kernel it inherits from what it replaces.

A fold x fold convolution of stride fold is a space-to-depth followed by a 1x1 convolution, in one operator. It replaces the
encoder levels that are cut off, and inherits their linear response (`u3p_edge.shapes.linear_response`). The normalisation and
the activation that ended these levels follow it. So its maps start out like those that the next level has learnt to read.
"""

from __future__ import annotations

from dataclasses import replace

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node, ancestors, substitute, unused_name
from u3p_edge.shapes.levels import AFTER_CONVOLUTION, POOLINGS
from u3p_edge.shapes.linear_response import linear_response


def put_stem(graph: Graph, encoder: str, fold: int) -> Graph:
    """Return the graph in which one convolution of stride `fold` gives what the level of `encoder` starts from.

    The normalisation and the activation before the pooling that is replaced follow the stem. Nodes that nothing reads any more
    stay.

    Args:
        graph: with one input, the image.
        encoder: name of the encoder's map at the level that stays, whose height and width are those of the image / fold.
        fold: 2 or 4.

    Raises:
        ModelError: the level is not entered by one pooling or convolution.
    """
    entry = _find_entry(graph, encoder)
    end, tail = graph[entry.name], tuple[Node, ...]()
    if entry.op in POOLINGS:
        end, tail = _split_tail(graph, entry.inputs[0])
    attrs = {"strides": (fold, fold), "padding": "same", "activation": end.attrs.get("activation", "linear")}
    weights = linear_response(graph, end.name, fold, entry if entry.op in POOLINGS else None)
    nodes = [Node(unused_name(graph, "stem_conv"), "conv", graph.inputs, attrs, weights)]
    for node in tail:
        nodes.append(replace(node, name=unused_name(graph, f"stem_{node.name}"), inputs=(nodes[-1].name,)))
    return substitute(graph, entry.name, nodes)


def _find_entry(graph: Graph, encoder: str) -> Node:
    """Return the node that brings finer maps to the size of an encoder's level."""
    shapes = graph.shapes
    size, before = shapes[encoder][1:3], ancestors(graph, encoder)
    entries = [
        node
        for node in graph.nodes
        if node.name in before and shapes[node.name][1:3] == size and any(shapes[name][1:3] != size for name in node.inputs)
    ]
    if len(entries) != 1 or entries[0].op not in (*POOLINGS, "conv"):
        raise ModelError(
            f"the network cannot start at the level of {encoder!r}: it is not entered by one pooling or convolution",
            mend="Take a shape that is not folded.",
        )
    return entries[0]


def _split_tail(graph: Graph, name: str) -> tuple[Node, tuple[Node, ...]]:
    """Return the node behind which only normalisations and activations follow up to the given one, and these."""
    node = graph[name]
    if node.op not in AFTER_CONVOLUTION:
        return node, ()
    end, tail = _split_tail(graph, node.inputs[0])
    return end, (*tail, node)
