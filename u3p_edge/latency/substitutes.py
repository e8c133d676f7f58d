"""Write a graph in parts that TFLite has operators for, with substitutes for the few ops that have none, to time it.

To compare two candidates for a network it is enough that a substitute reads and writes the op's maps once: the op is in both
candidates.
"""

from __future__ import annotations

from dataclasses import replace

from u3p_edge.graph.activation import function
from u3p_edge.graph.decompose import decompose
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import FUNCTIONS


def make_timeable(graph: Graph) -> Graph:
    """Return the graph as it is written, with each op that has no TFLite form replaced by one that takes about the same time.

    The result may compute another function, so it is only good for timing. An op without a substitute stays unchanged.
    """
    parts = decompose(graph)
    return replace(parts, nodes=tuple(_substitute(node, len(parts.shapes[node.name])) for node in parts.nodes))


def _substitute(node: Node, rank: int) -> Node:
    name = function(node)
    without = node.op == "activation" and name != "linear" and not FUNCTIONS[name].tflite
    if without or node.op in ("layer_norm", "rescale", "average"):
        return Node(node.name, "activation", node.inputs[:1], {"function": "sigmoid"})
    if node.op == "prelu" or (node.op == "relu" and not _is_known_relu(node)):
        return Node(node.name, "leaky_relu", node.inputs)
    if node.op == "elu":
        return Node(node.name, "elu", node.inputs)
    if node.op == "softmax" and node.attrs["axis"] not in (-1, rank - 1):
        return Node(node.name, "softmax", node.inputs)
    return node


def _is_known_relu(node: Node) -> bool:
    limit, slope, threshold = (node.attrs[key] for key in ("max_value", "negative_slope", "threshold"))
    return bool(threshold == 0 and limit in (None, 6) and (slope == 0 or limit is None))
