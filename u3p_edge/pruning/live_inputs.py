"""Find which nodes are left when whole maps are dropped, and their live inputs: the inputs that they go on reading.

A map with no channels is gone, and so is every node that is only needed to compute it. A concatenation goes on without that
part. A linear map of a lost one, without a bias, is zero, so a sum goes on without that term. Any other node that is left with
nothing to read would become a constant. That is not what dropping channels means, so it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import keeps_zero
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import Shape


def find_live_inputs(graph: Graph, kept: Mapping[str, npt.NDArray[np.bool_]]) -> Mapping[str, tuple[str, ...]]:
    """Return the live inputs, in their order, of every node that some output still needs.

    Args:
        graph: the graph before pruning.
        kept: for every node, which channels of its tensor stay, [channels].

    Raises:
        ModelError: a node would be left with no channels to read; the message names it.
    """
    gone = {name for name, mask in kept.items() if not mask.any()}
    zero = _zeros(graph, gone)
    reads: dict[str, tuple[str, ...]] = {}
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.name in needed:
            reads[node.name] = live = _reads(node, gone, zero, graph.shapes)
            lost = next((name for name in live if name in gone), None)
            if lost is not None:
                raise ModelError(
                    f"the plan would leave {node.name!r} with no channels to read",
                    mend=f"Keep a channel of {lost!r}, or drop all of {node.name!r} too.",
                )
            needed.update(live)
    return reads


def _reads(node: Node, gone: Set[str], zero: Set[str], shapes: Mapping[str, Shape]) -> tuple[str, ...]:
    if node.op == "concat":
        return tuple(name for name in node.inputs if name not in gone)
    if node.op == "add" and len({shapes[name] for name in node.inputs}) == 1:
        # If all inputs are zeros, all are read, so that the search reaches the node that has nothing to read.
        return tuple(name for name in node.inputs if name not in zero) or node.inputs
    return node.inputs


def _zeros(graph: Graph, gone: Set[str]) -> frozenset[str]:
    """Return the nodes that are left with channels, but whose channels are all zero everywhere."""
    empty = set(gone)
    for node in graph.nodes:
        if node.inputs and keeps_zero(node) and empty.issuperset(node.inputs):
            empty.add(node.name)
    return frozenset(empty - gone)
