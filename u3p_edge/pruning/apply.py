"""Apply a pruning plan to a graph: build the smaller graph, or the graph of the original size that computes the same.

Set the input slices of dropped channels to zero in every kernel that reads them. Then no value of a dropped channel reaches an
output, whatever it is (sigmoid(0) = 0.5, say, or the shift of a normalisation). Between producer and consumer, every op treats
each channel independently. So the graph without those channels has the same outputs:

    sum over all c of W[c] x[c], with W[c] = 0 for dropped c    =    sum over kept c of W[c] x[c]
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.pruning.dependency import ChannelGroup, find_groups
from u3p_edge.pruning.live_inputs import find_live_inputs
from u3p_edge.pruning.plan import PruningPlan

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]
Axes = Mapping[int, Mask]
"""For each axis of a weight, which positions along it stay."""


def apply_plan(graph: Graph, plan: PruningPlan) -> Graph:
    """Return the graph without the channels that the plan drops. Names, inputs and outputs stay.

    Nodes that no output needs any more are removed. So is a concatenation or a sum that is left with one operand: its readers
    then read that operand. If such a node is an output, it becomes an identity.

    Raises:
        ModelError: the plan does not fit the graph, or would leave a node with no channels to read.
    """
    groups = find_groups(graph)
    plan.check(groups)
    kept, axes = _channels(graph, groups, plan), _axes(graph, groups, plan)

    def cut(node: Node, sources: tuple[str, ...]) -> Node:
        weights = {key: _sliced(array, axes.get((node.name, key), {})) for key, array in node.weights.items()}
        attrs = count_channels(node, int(kept[node.name].sum()), lambda bound: int(kept[node.inputs[0]][:bound].sum()))
        return Node(node.name, node.op, sources, {**node.attrs, **attrs}, weights)

    return rebuild_graph(graph, find_live_inputs(graph, kept), cut)


def rebuild_graph(graph: Graph, reads: Mapping[str, tuple[str, ...]], cut: Callable[[Node, tuple[str, ...]], Node]) -> Graph:
    """Return the graph of the nodes that are left. Merges that are left with one operand are removed as in `apply_plan`.

    Args:
        graph: the graph before pruning.
        reads: the live inputs of its nodes, from `find_live_inputs`.
        cut: makes the smaller form of a node that stays, from the node and the names that it reads from now on.
    """
    nodes: list[Node] = []
    renames: dict[str, str] = {}
    for node in graph.nodes:
        if node.op == "input":
            nodes.append(node)
        elif node.name in reads:
            sources = tuple(renames.get(name, name) for name in reads[node.name])
            if len(sources) == 1 < len(node.inputs):
                renames[node.name] = sources[0]
                if node.name in graph.outputs:
                    nodes.append(Node(node.name, "identity", sources))
            else:
                nodes.append(cut(node, sources))
    return replace(graph, nodes=tuple(nodes))


def count_channels(node: Node, channels: int, before: Callable[[int], int]) -> Mapping[str, Any]:
    """Return new values for the attributes of a node that count channels.

    Args:
        node: the node before pruning.
        channels: how many channels of its tensor stay.
        before: from a number n to how many of the first n channels of the node's input stay.
    """
    if node.op == "reshape" and node.attrs["target_shape"][-1] != -1:
        return {"target_shape": (*node.attrs["target_shape"][:-1], channels)}
    if node.op == "crop" and node.attrs["channels"] is not None:
        return {"channels": tuple(map(before, node.attrs["channels"]))}
    if node.op == "group_norm" and node.attrs["groups"] > 0:
        # Channels are only dropped where each is a group of its own.
        return {"groups": min(node.attrs["groups"], channels)}
    return {}


def mask_channels(graph: Graph, plan: PruningPlan) -> Graph:
    """Return the graph with the same shapes in which nothing reads the channels that the plan drops.

    Unlike `apply_plan`, this also accepts plans that leave a node nothing to read.

    Raises:
        ModelError: the plan does not fit the graph.
    """
    groups = find_groups(graph)
    plan.check(groups)
    axes = _axes(graph, groups, plan, roles=("consumer",))

    def silenced(node: Node) -> Node:
        changed = {key: _zeroed(array, axes[node.name, key]) for key, array in node.weights.items() if (node.name, key) in axes}
        return replace(node, weights={**node.weights, **changed}) if changed else node

    return replace(graph, nodes=tuple(map(silenced, graph.nodes)))


def _channels(graph: Graph, groups: Sequence[ChannelGroup], plan: PruningPlan) -> dict[str, Mask]:
    """Return which channels of every tensor stay."""
    kept = {name: np.ones(shape[-1], bool) for name, shape in graph.shapes.items()}
    for group in groups:
        dropped = list(plan.dropped(group))
        for name, positions in group.tensors.items():
            kept[name][positions[dropped]] = False
    return kept


def _axes(
    graph: Graph, groups: Sequence[ChannelGroup], plan: PruningPlan, roles: Sequence[str] = ("producer", "consumer")
) -> dict[tuple[str, str], dict[int, Mask]]:
    """Return which slices stay along each axis, for every weight (by node and key) that loses some."""
    kept: dict[tuple[str, str], dict[int, Mask]] = {}
    for group in groups:
        dropped = list(plan.dropped(group))
        for member in group.members if dropped else ():
            if member.role in roles:
                length = graph[member.node].weights[member.weight].shape[member.axis]
                masks = kept.setdefault((member.node, member.weight), {})
                masks.setdefault(member.axis, np.ones(length, bool))[member.positions[dropped]] = False
    return kept


def _sliced(array: Array, axes: Axes) -> Array:
    for axis, mask in axes.items():
        array = np.asarray(np.compress(mask, array, axis))
    return array


def _zeroed(array: Array, axes: Axes) -> Array:
    new: Array = array.copy()
    for axis, mask in axes.items():
        np.moveaxis(new, axis, 0)[~mask] = 0
    return new
