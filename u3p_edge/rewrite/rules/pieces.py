"""Small pieces that several identities are written with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.ir import Graph, Node, consumers

ROWS, COLUMNS = 0, 1
Array = npt.NDArray[np.float32]


def is_plain(conv: Node) -> str:
    """Why a convolution is beyond these identities; empty if it is not.

    They hold at stride 1, with zero fill to the same size, undilated and ungrouped, for odd kernels; and an activation other
    than ReLU has no fused kernel behind a sum.
    """
    height, width = conv.weights["kernel"].shape[:2]
    if tuple(conv.attrs["strides"]) != (1, 1):
        return "it has strides"
    if conv.attrs["padding"] != "same" and (height, width) != (1, 1):
        return "it does not fill its borders with zeros"
    if tuple(conv.attrs["dilation"]) != (1, 1):
        return "it is dilated"
    if conv.attrs["groups"] != 1:
        return "it is grouped"
    if height % 2 == 0 or width % 2 == 0:
        return f"its {height}x{width} kernel has no centre"
    if conv.attrs["activation"] not in ("linear", "relu"):
        return f"its activation is {conv.attrs['activation']}"
    return ""


def bias_of(conv: Node) -> Array:
    """The bias, zeros where there is none: float32 [O]."""
    kernel = conv.weights["kernel"]
    return np.asarray(conv.weights.get("bias", np.zeros(kernel.shape[-1], kernel.dtype)))


def conv_node(name: str, source: str, kernel: npt.NDArray[np.floating], own_bias: Array | None = None) -> Node:
    """A linear convolution that keeps its map's size; kernel [h, w, C, O]."""
    weights = {"kernel": np.ascontiguousarray(kernel, np.float32)}
    if own_bias is not None:
        weights["bias"] = np.asarray(own_bias, np.float32)
    return Node(name, "conv", (source,), {"padding": "same"}, weights)


def shift_map(name: str, source: str, axis: int, by: int, beside: tuple[int, int] = (0, 0)) -> list[Node]:
    """Nodes, the last of which holds at place j what `source` holds at j + by along an axis, zeros beyond its ends.

    `beside` are columns that are cut off on the way, from the left and from the right; along rows alone.
    """
    lost, filled = ((by, 0), (0, by)) if by > 0 else ((0, -by), (-by, 0))
    cropping, padding = ((lost, beside), (filled, (0, 0))) if axis == ROWS else ((beside, lost), ((0, 0), filled))
    if not by:
        return [Node(name, "crop", (source,), {"cropping": cropping})]
    cut = Node(f"{name}_cut", "crop", (source,), {"cropping": cropping})
    return [cut, Node(name, "pad", (cut.name,), {"padding": padding})]


def add_maps(name: str, sources: Sequence[str], relu: bool) -> list[Node]:
    """Additions two by two; the last node, `name`, is the sum, or the ReLU of it, which runtimes fuse into the addition."""
    names = [f"{name}_sum{i}" for i in range(1, len(sources))]
    if not relu:
        names[-1] = name
    nodes, running = [], sources[0]
    for own, source in zip(names, sources[1:], strict=True):
        nodes.append(Node(own, "add", (running, source)))
        running = own
    return [*nodes, Node(name, "activation", (running,), {"function": "relu"})] if relu else nodes


def replace_nodes(graph: Graph, nodes: Sequence[str], new: Sequence[Node]) -> Graph:
    """The graph with `new` in place of `nodes`, whose last node both lists end in by name.

    Of `nodes`, those that something else still reads stay.
    """
    readers = consumers(graph)
    gone: set[str] = {nodes[-1]}
    for name in reversed(nodes[:-1]):
        if name not in graph.outputs and set(readers[name]) <= gone:
            gone.add(name)
    kept: list[Node] = []
    for node in graph.nodes:
        if node.name == nodes[-1]:
            kept += new
        elif node.name not in gone:
            kept.append(node)
    return replace(graph, nodes=tuple(kept))
