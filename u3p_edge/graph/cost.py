"""What a graph costs to run once, by arithmetic: multiply-accumulates and parameters. No TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from u3p_edge.graph.ir import Graph, Node, shapes
from u3p_edge.graph.ops import Shape


@dataclass(frozen=True)
class Cost:
    """Of one image.

    Args:
        macs: multiply-accumulates of each node that has any (convolutions and dense layers).
        parameters: numbers stored as weights, moving statistics included, as Keras counts them.
    """

    macs: Mapping[str, int]
    parameters: int

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates of the whole graph."""
        return sum(self.macs.values())


def cost(graph: Graph) -> Cost:
    """The graph's cost at its own input size. Raises ModelError as `shapes` does."""
    found = shapes(graph)
    macs = {node.name: _macs(node, found) for node in graph.nodes if "kernel" in node.weights}
    return Cost(MappingProxyType(macs), sum(array.size for node in graph.nodes for array in node.weights.values()))


def _macs(node: Node, found: Mapping[str, Shape]) -> int:
    """Positions times kernel: every weight is used once at each position of the output.

    A transposed convolution uses every weight once at each position of its input; borders count as if they were inside.
    """
    at = found[node.inputs[0] if node.op == "conv_transpose" else node.name]
    return math.prod(at[1:-1]) * int(node.weights["kernel"].size)
