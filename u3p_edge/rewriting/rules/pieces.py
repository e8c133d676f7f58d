"""Small helpers that several rules are written with."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.ir import Graph, Node

ROWS, COLUMNS = 0, 1
Array = npt.NDArray[np.float32]


def is_plain(conv: Node) -> str:
    """Return why these identities do not hold for a convolution; empty if they do.

    They hold at stride 1, with zero padding to the same size, undilated and ungrouped, for odd kernels. The activation must be
    linear or ReLU, because no other has a fused kernel after a sum.
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
    """Return the bias, or zeros where there is none: float32 [O]."""
    kernel = conv.weights["kernel"]
    return np.asarray(conv.weights.get("bias", np.zeros(kernel.shape[-1], kernel.dtype)))


def conv_node(name: str, source: str, kernel: npt.NDArray[np.floating], bias: Array | None = None) -> Node:
    """Return a linear convolution that keeps its map's size; the kernel is [h, w, C, O]."""
    weights = {"kernel": np.ascontiguousarray(kernel, np.float32)}
    if bias is not None:
        weights["bias"] = np.asarray(bias, np.float32)
    return Node(name, "conv", (source,), {"padding": "same"}, weights)


def shift_map(name: str, source: str, axis: int, by: int, beside: tuple[int, int] = (0, 0)) -> list[Node]:
    """Return nodes that shift a map along an axis by `by`.

    The last one holds at index j what `source` holds at j + by, zeros beyond its ends. `beside` gives the numbers of columns
    that are also cut off, from the left and from the right; only for a shift along rows.
    """
    lost, filled = ((by, 0), (0, by)) if by > 0 else ((0, -by), (-by, 0))
    cropping, padding = ((lost, beside), (filled, (0, 0))) if axis == ROWS else ((beside, lost), ((0, 0), filled))
    if not by:
        return [Node(name, "crop", (source,), {"cropping": cropping})]
    cut = Node(f"{name}_cut", "crop", (source,), {"cropping": cropping})
    return [cut, Node(name, "pad", (cut.name,), {"padding": padding})]


def add_maps(name: str, sources: Sequence[str], relu: bool) -> list[Node]:
    """Return additions of two maps each; the last node, `name`, is the sum, or its ReLU, which runtimes fuse into the
    addition."""
    names = [f"{name}_sum{i}" for i in range(1, len(sources))]
    if not relu:
        names[-1] = name
    nodes, running = [], sources[0]
    for partial, source in zip(names, sources[1:], strict=True):
        nodes.append(Node(partial, "add", (running, source)))
        running = partial
    return [*nodes, Node(name, "activation", (running,), {"function": "relu"})] if relu else nodes


def replace_nodes(graph: Graph, nodes: Sequence[str], new: Sequence[Node]) -> Graph:
    """Return the graph with `new` in place of `nodes`; the last node of both lists has the same name.

    Those of `nodes` that something else still reads stay. New nodes whose names the graph has already get other ones: the
    `conv2d_1_d0` of a convolution `conv2d` is not that of `conv2d_1`.
    """
    readers = graph.consumers
    gone: set[str] = {nodes[-1]}
    for name in reversed(nodes[:-1]):
        if name not in graph.outputs and set(readers[name]) <= gone:
            gone.add(name)
    kept: list[Node] = []
    for node in graph.nodes:
        if node.name == nodes[-1]:
            kept += _with_free_names(new, {node.name for node in graph.nodes} - gone)
        elif node.name not in gone:
            kept.append(node)
    return replace(graph, nodes=tuple(kept))


def _with_free_names(nodes: Sequence[Node], taken: Collection[str]) -> list[Node]:
    """Return nodes in their order, those of a name that is taken under another one."""
    names: dict[str, str] = {}
    result = []
    for node in nodes:
        inputs = tuple(names.get(name, name) for name in node.inputs)
        name = node.name
        while name in taken:
            name += "_"
        names[node.name] = name
        result.append(replace(node, name=name, inputs=inputs))
    return result
