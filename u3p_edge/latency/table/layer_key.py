"""What decides how long a graph takes, as a short text: its ops, attributes and shapes. Weights and names do not."""

from __future__ import annotations

import hashlib
import json

from u3p_edge.graph.ir import KERAS, Graph, Node, thaw


def layer_key(graph: Graph) -> str:
    """Hexadecimal sha256; equal for graphs that differ in weights and names alone."""
    places = {node.name: place for place, node in enumerate(graph.nodes)}
    nodes = [_described(node, places) for node in graph.nodes]
    ends = [[places[name] for name in names] for names in (graph.inputs, graph.outputs)]
    return hashlib.sha256(json.dumps([nodes, ends], sort_keys=True, default=str).encode()).hexdigest()


def _described(node: Node, places: dict[str, int]) -> list[object]:
    attrs = {key: thaw(value) for key, value in node.attrs.items() if key != KERAS}
    if node.op == "input":  # a batch left open is timed as one image
        attrs["shape"] = [attrs["shape"][0] or 1, *attrs["shape"][1:]]
    weights = {key: list(array.shape) for key, array in node.weights.items()}
    return [node.op, [places[name] for name in node.inputs], attrs, weights]
