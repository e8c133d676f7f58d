"""Which nodes are left when whole maps go, and what they go on reading.

A map with no channels is gone, and with it every node that only computes it. A concatenation goes on without that part. A
linear map of a lost one, without a bias, is zero, so that a sum goes on without that term. Anything else that is left with
nothing to read would be a constant, which is not what dropping channels means: it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Set

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node, shapes
from u3p_edge.graph.ops import TRAINING_ONLY, Shape

_LINEAR = frozenset(("conv", "conv_transpose", "dense"))
_ZERO_STAYS = frozenset(
    (
        "add", "subtract", "multiply", "relu", "upsample", "interpolated_sum", "crop", "pad", "max_pool", "average_pool",
        "reshape", *TRAINING_ONLY,
    )
)  # fmt: skip
"""Ops that give zeros for zeros. A ReLU with a threshold may not."""


def find_live_inputs(graph: Graph, kept: Mapping[str, npt.NDArray[np.bool_]]) -> Mapping[str, tuple[str, ...]]:
    """For every node that some output still needs, the inputs that it goes on reading, in their order.

    Args:
        graph: before pruning.
        kept: for every node, which channels of its tensor stay, [channels].

    Raises:
        ModelError: a node would be left with no channels to read; names it.
    """
    gone = {name for name, mask in kept.items() if not mask.any()}
    zero, found = _zeros(graph, gone), shapes(graph)
    reads: dict[str, tuple[str, ...]] = {}
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.name in needed:
            reads[node.name] = own = _reads(node, gone, zero, found)
            lost = next((name for name in own if name in gone), None)
            if lost is not None:
                raise ModelError(
                    f"the plan would leave {node.name!r} with no channels to read",
                    mend=f"Keep a channel of {lost!r}, or drop all of {node.name!r} too.",
                )
            needed.update(own)
    return reads


def _reads(node: Node, gone: Set[str], zero: Set[str], found: Mapping[str, Shape]) -> tuple[str, ...]:
    if node.op == "concat":
        return tuple(name for name in node.inputs if name not in gone)
    if node.op == "add" and len({found[name] for name in node.inputs}) == 1:
        # Of zeros alone all are read, down to the node that has nothing to read.
        return tuple(name for name in node.inputs if name not in zero) or node.inputs
    return node.inputs


def _zeros(graph: Graph, gone: Set[str]) -> frozenset[str]:
    """Nodes that are left with channels, all of them zero everywhere."""
    found: set[str] = set()
    for node in graph.nodes:
        if node.name in gone or not node.inputs:
            continue
        if node.op in _LINEAR:
            empty = node.inputs[0] in gone or node.inputs[0] in found
            zero = empty and "bias" not in node.weights and node.attrs["activation"] in ("linear", "relu")
        else:
            zero = _keeps_zero(node) and all(name in found for name in node.inputs)
        if zero:
            found.add(node.name)
    return frozenset(found)


def _keeps_zero(node: Node) -> bool:
    if node.op == "activation":
        return node.attrs["function"] in ("linear", "relu")
    return node.op in _ZERO_STAYS and not node.attrs.get("threshold")
