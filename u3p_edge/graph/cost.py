"""Compute what it costs to run a graph once, by arithmetic: multiply-accumulates, parameters and bytes. No TensorFlow.

Bytes are counted for the weights and the output of each node separately; `u3p_edge.graph.memory` computes what is held at the
same time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import Shape

_WIDE = 4
"""Bytes of each number that stays float32 or int32 beside an int8 kernel: biases, and all weights of a normalisation."""


@dataclass(frozen=True)
class Cost:
    """The cost of a graph for one image.

    Args:
        macs: multiply-accumulates of each node that has any: convolutions, dense layers, interpolated sums.
        parameters: how many numbers are stored as weights, moving statistics included, as Keras counts them.
        weight_bytes: bytes of the weights of each node that has some.
        activation_bytes: bytes of the tensor that each node gives, inputs included.
    """

    macs: Mapping[str, int]
    parameters: int
    weight_bytes: Mapping[str, int]
    activation_bytes: Mapping[str, int]

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates of the whole graph."""
        return sum(self.macs.values())


def cost(graph: Graph, *, bytes_per_element: int = 4) -> Cost:
    """Return the graph's cost at its own input size.

    Args:
        graph: a graph of fixed input size.
        bytes_per_element: bytes of an element of kernels and activations: 4 in a float32 network, 1 in an int8 one. Biases
            have 4 in both.

    Raises:
        ModelError: as `shapes` does.
    """
    found = graph.shapes
    weighted = [node for node in graph.nodes if node.weights]
    return Cost(
        macs=MappingProxyType({node.name: _macs(node, found) for node in graph.nodes if _multiplies(node)}),
        parameters=sum(array.size for node in weighted for array in node.weights.values()),
        weight_bytes=MappingProxyType({node.name: _weight_bytes(node, bytes_per_element) for node in weighted}),
        activation_bytes=MappingProxyType({name: math.prod(shape) * bytes_per_element for name, shape in found.items()}),
    )


def _weight_bytes(node: Node, bytes_per_element: int) -> int:
    return sum(array.size * (bytes_per_element if key == "kernel" else _WIDE) for key, array in node.weights.items())


def _multiplies(node: Node) -> bool:
    return "kernel" in node.weights or node.op == "interpolated_sum"


def _macs(node: Node, found: Mapping[str, Shape]) -> int:
    """Return the number of positions times the kernel's size: every weight is used once at each position of the output.

    A transposed convolution uses every weight once at each position of its input. An interpolated sum counts three
    multiply-accumulates of every tap for each value. Borders count as if they were inside.
    """
    if node.op == "interpolated_sum":
        return math.prod(found[node.name][1:]) * 3 * int(node.attrs["taps"])
    at = found[node.inputs[0] if node.op == "conv_transpose" else node.name]
    return math.prod(at[1:-1]) * int(node.weights["kernel"].size)
