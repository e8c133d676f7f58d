"""Substitutes for ops that have no TFLite operator, so that a graph can be timed in either number type as it is.

The exported file expresses such an op as several operators, see `u3p_edge.graph.decompose`. To compare two candidates for a
network it is enough that the substitute reads and writes the op's maps once: the op is in both candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from u3p_edge.graph.activation import function
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import FUNCTIONS


def make_timeable(graph: Graph) -> Graph:
    """Return the graph with each op that has no TFLite operator replaced by one with the same maps and about the same time.

    The result computes another function, so it is only good for timing. An op without a substitute stays unchanged.
    """
    sizes = graph.shapes
    nodes = [new for node in graph.nodes for new in _make_timeable(node, len(sizes[node.name]))]
    return replace(graph, nodes=tuple(nodes))


def _make_timeable(node: Node, rank: int) -> Sequence[Node]:
    name = function(node)
    if node.op == "dense" and name not in ("linear", "relu"):
        logits = replace(node, name=f"{node.name}/logits", attrs={**node.attrs, "activation": "linear"})
        return [logits, *_make_timeable(Node(node.name, "activation", (logits.name,), {"function": name}), rank)]
    if node.kind.merges and (len(node.inputs) > 2 or node.op == "average"):
        return _pairs(node, "add" if node.op == "average" else node.op)
    if node.op in ("layer_norm", "rescale") or (node.op == "activation" and name != "linear" and not FUNCTIONS[name].tflite):
        return [Node(node.name, "activation", node.inputs, {"function": "sigmoid"})]
    if node.op == "prelu" or (node.op == "relu" and not _is_known_relu(node)):
        return [Node(node.name, "leaky_relu", node.inputs)]
    if node.op == "elu":
        return [Node(node.name, "elu", node.inputs)]
    if node.op == "softmax" and node.attrs["axis"] not in (-1, rank - 1):
        return [Node(node.name, "softmax", node.inputs)]
    return [node]


def _is_known_relu(node: Node) -> bool:
    limit, slope, threshold = (node.attrs[key] for key in ("max_value", "negative_slope", "threshold"))
    return bool(threshold == 0 and limit in (None, 6) and (slope == 0 or limit is None))


def _pairs(node: Node, op: str) -> Sequence[Node]:
    """Split a merge of several maps into merges of two: in int8 a partial result needs a scale, and so a node."""
    first, *rest = node.inputs
    names = [*(f"{node.name}/{count}" for count in range(1, len(rest))), node.name]
    lefts = [first, *names[:-1]]
    return [Node(name, op, (left, right)) for name, left, right in zip(names, lefts, rest, strict=True)]
