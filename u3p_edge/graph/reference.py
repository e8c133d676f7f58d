"""Compute a graph in NumPy: the reference with which rewrites are compared. No TensorFlow, and not made for speed.

Every element of a result is computed by the same operations in the same order, whatever its position. Convolutions add tap by
tap and channel by channel, element by element. They use no matrix product, because its order of summation depends on its size.
So a map that is computed in tiles of rows has, bit for bit, the rows of the whole map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, subgraph
from u3p_edge.graph.ops.op import Array


def run(
    graph: Graph, feeds: Mapping[str, Array], outputs: Sequence[str] | None = None, *, dtype: npt.DTypeLike = np.float32
) -> dict[str, Array]:
    """Return the values of a graph's nodes at inference.

    Args:
        graph: a graph with float weights.
        feeds: an array [N, ...] for every input that the wanted nodes need.
        outputs: names of the nodes that are wanted; None for the graph's outputs.
        dtype: dtype of all arithmetic and of the results, float32 or float64.

    Raises:
        ModelError: an input is missing, or a wanted node is not in the graph.
    """
    wanted = tuple(graph.outputs if outputs is None else outputs)
    unknown = [name for name in wanted if name not in graph]
    if unknown:
        raise ModelError(f"the graph has no node {unknown[0]!r}")
    values: dict[str, Array] = {}
    for node in subgraph(graph, wanted).nodes:
        if node.op == "input":
            if node.name not in feeds:
                raise ModelError(f"no value was given for the input {node.name!r}")
            values[node.name] = np.asarray(feeds[node.name], dtype)
            continue
        weights = {key: array.astype(dtype) for key, array in node.weights.items()}
        values[node.name] = np.asarray(node.kind.compute(node.attrs, weights, [values[name] for name in node.inputs]), dtype)
    return {name: values[name] for name in wanted}
