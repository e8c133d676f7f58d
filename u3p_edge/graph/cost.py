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
from u3p_edge.graph.ops.op import Shape, no_macs

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
    """Return the graph's cost at its input size.

    Args:
        graph: a graph of fixed input size.
        bytes_per_element: bytes of an element of kernels and activations: 4 in a float32 network, 1 in an int8 one. Biases
            have 4 in both.

    Raises:
        ModelError: as `shapes` does.
    """
    sizes = graph.shapes
    weighted = [node for node in graph.nodes if node.weights]
    return Cost(
        macs=MappingProxyType({node.name: _macs(node, sizes) for node in graph.nodes if node.kind.macs is not no_macs}),
        parameters=sum(array.size for node in weighted for array in node.weights.values()),
        weight_bytes=MappingProxyType({node.name: _weight_bytes(node, bytes_per_element) for node in weighted}),
        activation_bytes=MappingProxyType({name: math.prod(shape) * bytes_per_element for name, shape in sizes.items()}),
    )


def _weight_bytes(node: Node, bytes_per_element: int) -> int:
    return sum(array.size * (bytes_per_element if key == "kernel" else _WIDE) for key, array in node.weights.items())


def _macs(node: Node, sizes: Mapping[str, Shape]) -> int:
    return node.kind.macs(node.attrs, node.weights, tuple(sizes[name] for name in node.inputs), sizes[node.name])
