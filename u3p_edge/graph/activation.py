"""What a node does to its values at the end: its activation, and the ReLU that a runtime computes in the node's kernel."""

from __future__ import annotations

import math

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import FUNCTIONS

_RELU6 = 6.0


def function(node: Node) -> str:
    """Return the activation that a node applies, a key of `ops.FUNCTIONS`; "linear" for none.

    It is "relu" also for a ReLU with a slope, a threshold or a ceiling.
    """
    if node.op in ("relu", "softmax"):
        return node.op
    return str(node.attrs.get("function", node.attrs.get("activation", "linear")))


def relu_ceiling(node: Node) -> float | None:
    """Return c for a node that is min(max(x, 0), c) and nothing else, infinity for a plain ReLU; None for any other node."""
    if node.op == "activation":
        return math.inf if node.attrs["function"] == "relu" else None
    if node.op != "relu" or node.attrs["negative_slope"] or node.attrs["threshold"]:
        return None
    return math.inf if node.attrs["max_value"] is None else float(node.attrs["max_value"])


def is_plain_relu(node: Node) -> bool:
    """Return whether a node is max(x, 0) and nothing else."""
    return relu_ceiling(node) == math.inf


def is_relu(node: Node) -> bool:
    """Return whether a node is a ReLU, bounded by 6 or not at all, that a runtime can fuse into the operator before it."""
    return relu_ceiling(node) in (math.inf, _RELU6)


def fused_relu(graph: Graph, node: Node) -> str | None:
    """Return the ReLU that runtimes compute in the kernel of a node: the one node that reads it. None where there is none."""
    readers = graph.consumers[node.name]
    fuses = node.kind.fuses_relu and node.attrs.get("activation", "linear") == "linear" and node.name not in graph.outputs
    return readers[0] if fuses and len(readers) == 1 and is_relu(graph[readers[0]]) else None


def is_channelwise(node: Node) -> bool:
    """Return whether a node computes each channel from the same channel of its input, with no number that belongs to it."""
    return node.kind.channelwise and FUNCTIONS[function(node)].channelwise


def keeps_zero(node: Node) -> bool:
    """Return whether a node gives zeros for zeros."""
    shifted = "bias" in node.weights or bool(node.attrs.get("threshold"))
    return node.kind.keeps_zero and FUNCTIONS[function(node)].keeps_zero and not shifted
