"""Fused interpolated sums: sums of interpolated and shifted maps become one node, after everything else has been decided.

The forms that are called separable end in sums

    out = sum over b of T^(b - k // 2) U V_b        U an upsampling by s along one axis, T a shift by one pixel along it

of k maps V_b. These lie side by side in one map: in its columns, or in its channels where U goes along columns. U turns each
pixel into s pixels, and each of those s in the sum is a fixed mixture of three neighbouring pixels of all V_b. So a runtime
may compute the sum from the small map in one pass (`interpolated_sum`) instead of k interpolations and k - 1 sums; in integers
it is then rounded once. Training and quantization see the separate sums, with layers of their kind. The fused sum only comes
nearer to the real value.

Domain: k odd, s from 2 to `MOST`, every pixel within reach of its neighbours (k / 2 <= s / 2 + 1/2), at least two pixels along
the axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from u3p_edge.graph.ir import Graph, Node, subgraph

MOST = 8
"""The largest factor s. A runtime has one operator for each of the s output phases, each with another kernel. Sixteen of them
take as long as what they replace, and take a megabyte or more in a large network."""

_NONE = (0, 0)


@dataclass(frozen=True)
class _Part:
    """One term of the sum: [first, last) of a map's columns, or of its channels where it goes along columns, interpolated and
    shifted so that index j along the axis holds what was at j + by."""

    source: str
    axis: int
    factor: int
    interpolation: str
    first: int
    last: int
    by: int


def fuse_interpolated_sums(graph: Graph) -> Graph:
    """Return the graph with every such sum fused into one node that has the sum's name.

    Nodes that nothing reads any more are left out.

    Raises:
        ModelError: as `shapes` does.
    """
    new: dict[str, Node] = {}
    for node in graph.nodes:
        if node.op == "add" and not _continues(graph, node):
            one = _fuse(graph, node)
            if one is not None:
                new[node.name] = one
    if not new:
        return graph
    return subgraph(replace(graph, nodes=tuple(new.get(node.name, node) for node in graph.nodes)), graph.outputs)


def _continues(graph: Graph, node: Node) -> bool:
    """Return whether an addition is the only reader of a node, so that the node is a part of a longer sum."""
    readers = graph.consumers[node.name]
    return len(readers) == 1 and graph[readers[0]].op == "add" and node.name not in graph.outputs


def _fuse(graph: Graph, node: Node) -> Node | None:
    parts = [_part(graph, name) for name in _terms(graph, node)]
    first = parts[0]
    if first is None or len(parts) % 2 == 0:
        return None
    width, taps, size = first.last - first.first, len(parts), graph.shapes[first.source]
    expected = [replace(first, first=b * width, last=(b + 1) * width, by=b - taps // 2) for b in range(taps)]
    within = 2 <= first.factor <= MOST and taps // 2 <= (first.factor + 1) // 2 and size[first.axis] > 1
    if parts != expected or size[first.axis + 1] != taps * width or not within:
        return None
    attrs = {"axis": first.axis, "factor": first.factor, "taps": taps, "interpolation": first.interpolation}
    return Node(node.name, "interpolated_sum", (first.source,), attrs)


def _terms(graph: Graph, node: Node) -> Iterator[str]:
    """Yield the terms of a chain of additions, from left to right."""
    for name in node.inputs:
        if graph[name].op == "add" and _continues(graph, graph[name]):
            yield from _terms(graph, graph[name])
        else:
            yield name


def _part(graph: Graph, name: str) -> _Part | None:
    """Return a map as a term of such a sum, or None where it is not one.

    Read upwards, the term consists of a pad, a crop, the upsampling and, where it goes along columns, a crop that selects
    channels. The pad and the first crop may be absent.
    """
    node, filled, lost = graph[name], (_NONE, _NONE), (_NONE, _NONE)
    if node.op == "pad":
        filled, node = node.attrs["padding"], graph[node.inputs[0]]
    if node.op == "crop" and node.attrs["channels"] is None:
        lost, node = node.attrs["cropping"], graph[node.inputs[0]]
    if node.op != "upsample" or 1 not in node.attrs["size"]:
        return None
    axis = 1 if node.attrs["size"][1] == 1 else 2
    factor, interpolation, source = node.attrs["size"][axis - 1], node.attrs["interpolation"], graph[node.inputs[0]]
    (before, behind), across = lost[axis - 1], lost[2 - axis]
    moved = tuple(filled[axis - 1]) == (behind, before) and 0 in (before, behind) and tuple(filled[2 - axis]) == _NONE
    if not moved:
        return None
    if axis == 1:
        span = (across[0], graph.shapes[source.name][2] - across[1])
    elif tuple(across) == _NONE and _chooses_channels(source):
        span, source = source.attrs["channels"], graph[source.inputs[0]]
    else:
        return None
    return _Part(source.name, axis, factor, interpolation, *span, before - behind)


def _chooses_channels(node: Node) -> bool:
    return node.op == "crop" and node.attrs["channels"] is not None and not np.any(node.attrs["cropping"])
