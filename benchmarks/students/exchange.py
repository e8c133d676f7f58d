"""Networks as files that a trainer without this package reads: nodes as JSON, weights as NPZ.

    {"nodes": [{"name", "op", "inputs", "attrs", "weights": {"kernel": [3, 3, 1, 16]}}, ...], "outputs": ["mask"], "classes": 4}

Nodes, ops and attributes are those of `u3p_edge.graph`. An array of the NPZ file is called "node/weight".
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from u3p_edge.files.atomic import read_json, write_bytes, write_json
from u3p_edge.graph.ir import KERAS, Graph, Node, thaw


def write_network(path: Path, graph: Graph, *, weights: bool) -> None:
    """Write a network, whole or not at all.

    Args:
        path: of the JSON file; the weights go beside it, with the suffix .npz.
        graph: whose first output is the mask [N, H, W, K].
        weights: also write its weights, kernels in float16.
    """
    nodes = [_describe(node) for node in graph.nodes]
    if weights:
        arrays = {f"{node.name}/{key}": value for node in graph.nodes for key, value in node.weights.items()}
        half = {key: value.astype(np.float16) if key.endswith("/kernel") else value for key, value in arrays.items()}
        file = io.BytesIO()
        np.savez_compressed(file, **half)  # type: ignore[arg-type]  # of a later keyword that no array is named like
        write_bytes(path.with_suffix(".npz"), file.getvalue())
    classes = graph.shapes[graph.outputs[0]][3]
    write_json(path, {"nodes": nodes, "outputs": list(graph.outputs), "classes": classes})


def read_network(path: Path, weights: Path) -> Graph:
    """Return the network of a JSON file with the weights of an NPZ file, all float32.

    Raises:
        KeyError: the NPZ file lacks an array.
    """
    file, arrays = read_json(path), np.load(weights, allow_pickle=False)
    nodes = tuple(
        Node(
            node["name"], node["op"], tuple(node["inputs"]), node["attrs"],
            {key: arrays[f"{node['name']}/{key}"].astype(np.float32) for key in node["weights"]},
        )
        for node in file["nodes"]
    )  # fmt: skip
    inputs = tuple(node.name for node in nodes if node.op == "input")
    return Graph(nodes, inputs, tuple(file["outputs"]))


def with_weights(graph: Graph, weights: Path) -> Graph:
    """Return the graph with the weights of an NPZ file, all float32. Raises KeyError if it lacks an array."""
    arrays = np.load(weights, allow_pickle=False)
    nodes = (
        replace(node, weights={key: arrays[f"{node.name}/{key}"].astype(np.float32) for key in node.weights})
        for node in graph.nodes
    )
    return replace(graph, nodes=tuple(nodes))


def _describe(node: Node) -> dict[str, Any]:
    attrs = {key: _plain(value) for key, value in node.attrs.items() if key != KERAS}
    shapes = {key: list(value.shape) for key, value in sorted(node.weights.items())}
    return {"name": node.name, "op": node.op, "inputs": list(node.inputs), "attrs": attrs, "weights": shapes}


def _plain(value: Any) -> Any:
    """Return an attribute as JSON has it; some that were read from Keras are arrays."""
    return value.tolist() if isinstance(value, np.ndarray) else thaw(value)
