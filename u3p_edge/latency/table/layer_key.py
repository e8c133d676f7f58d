"""A short key of all that decides how long a graph takes: its ops, attributes and shapes, but not weights and names."""

from __future__ import annotations

import hashlib
import json

from u3p_edge.graph.ir import KERAS, Graph, Node, thaw


def layer_key(graph: Graph) -> str:
    """Return a hexadecimal sha256 that is equal for graphs that differ only in weights and names."""
    numbers = {node.name: number for number, node in enumerate(graph.nodes)}
    nodes = [_describe(node, numbers) for node in graph.nodes]
    ends = [[numbers[name] for name in names] for names in (graph.inputs, graph.outputs)]
    return hashlib.sha256(json.dumps([nodes, ends], sort_keys=True, default=str).encode()).hexdigest()


def _describe(node: Node, numbers: dict[str, int]) -> list[object]:
    attrs = {key: thaw(value) for key, value in node.attrs.items() if key != KERAS}
    if node.op == "input":  # an unknown batch size is timed as one image
        attrs["shape"] = [attrs["shape"][0] or 1, *attrs["shape"][1:]]
    weights = {key: list(array.shape) for key, array in node.weights.items()}
    return [node.op, [numbers[name] for name in node.inputs], attrs, weights]
