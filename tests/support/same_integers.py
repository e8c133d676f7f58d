"""Two networks in integers side by side, node by node from their outputs on, whatever the nodes are called."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from u3p_edge.graph.ir import Node
from u3p_edge.graph.scheme import Quantized


@dataclass(frozen=True)
class Comparison:
    """How far two networks are the same.

    Args:
        nodes: number of nodes that were compared.
        integers: number of weights and biases that were compared.
        differences: a node of the first network, and what differs.
    """

    nodes: int
    integers: int
    differences: tuple[tuple[str, str], ...]


def compare_networks(ours: Quantized, theirs: Quantized) -> Comparison:
    """Compare the structure, every integer, every scale and every zero point."""
    pairs: dict[str, str] = {}
    waiting = [(ours.graph.outputs[0], theirs.graph.outputs[0])]
    differences, integers = list[tuple[str, str]](), 0
    while waiting:
        mine, other = waiting.pop()
        a, b = ours.graph[mine], theirs.graph[other]
        if mine in pairs:
            continue
        if a.op != b.op and a.op in ("reshape", "identity"):
            # Before a product the converter leaves a reshape out, and broadcasts; it may requantize elsewhere.
            waiting.append((a.inputs[0], other))
            continue
        if a.op != b.op and b.op == "identity":
            waiting.append((mine, b.inputs[0]))
            continue
        pairs[mine] = other
        differences += [(mine, what) for what in _differences(ours, theirs, a, b)]
        integers += sum(array.size for array in a.weights.values())
        waiting += zip(a.inputs, b.inputs, strict=False)
    return Comparison(len(pairs), integers, tuple(differences))


def _differences(ours: Quantized, theirs: Quantized, a: Node, b: Node) -> list[str]:
    result = [] if _kind(a) == _kind(b) else [f"{a.op} and {b.op}"]
    if len(a.inputs) != len(b.inputs):
        result.append("their operands")
    if ours.scheme.tensors.get(a.name) != theirs.scheme.tensors.get(b.name):
        result.append(f"{ours.scheme.tensors.get(a.name)} and {theirs.scheme.tensors.get(b.name)}")
    for key, array in a.weights.items():
        if key not in b.weights or not np.array_equal(array, b.weights[key]):
            result.append(f"their {key}")
    if "kernel" in a.weights and not np.array_equal(ours.scheme.kernels[a.name], theirs.scheme.kernels[b.name]):
        result.append("the scales of their kernels")
    return result


def _kind(node: Node) -> str:
    """Return what a node computes: a ReLU or a softmax may be one of two ops."""
    function = node.attrs.get("function", node.op)
    return function if function in ("relu", "softmax") else f"{node.op} {function}"
