"""The part of a graph that is computed tile by tile for one node's map, and what stays whole.

The region is grown backwards from that node: a node joins when everything that reads it has joined, so nothing of it is needed
whole. At the output's resolution every node joins that can compute some of its rows alone. Below an upsampling along the
rows (that is, among the nodes that it is computed from) only what is cheap to compute twice joins, up to one convolution that
reads no neighbouring rows. The input of that convolution, another level's output, stays whole, and so does what a pooling
reads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from u3p_edge.graph.activation import is_relu
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import Shape
from u3p_edge.rewriting.rule import Refusal
from u3p_edge.rewriting.tiling.order import list_orders
from u3p_edge.rewriting.tiling.row_ranges import Geometry, broadcasts, row_geometry

NARROW = 8
"""A map of at most an eighth of its region's widest is narrow."""

SLIM = 4
"""A map of at most a quarter of its region's widest is slim."""

KERNELS = 16
"""A convolution below an upsampling joins if its map has at least this many times the bytes of its kernel: every tile packs the
kernel again and computes some rows twice, which for a small map costs more than keeping the map."""


@dataclass(frozen=True)
class Region:
    """The nodes that are computed in tiles for `out`.

    Args:
        out: the node whose rows are divided into tiles; its map is kept whole, joined from them.
        orders: the names of the nodes computed in tiles, in orders that may need little memory, `out` last.
        boundary: names of the nodes that they read and that stay whole, in the graph's order.
        geometries: the geometry of each node computed in tiles.
        shapes: the shape of every node of the graph.
    """

    out: str
    orders: tuple[tuple[str, ...], ...]
    boundary: tuple[str, ...]
    geometries: Mapping[str, Geometry]
    shapes: Mapping[str, Shape]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of the nodes computed in tiles, in the graph's order."""
        return self.orders[-1]

    @property
    def height(self) -> int:
        """The number of rows of `out`."""
        return self.shapes[self.out][1]


def find_region(graph: Graph, out: str) -> Region | Refusal:
    """Return the region of the node `out`.

    It is refused where there is no such node, where the node cannot be divided into tiles, and where no other node joins it.

    Raises:
        ModelError: for a graph whose sizes are not fixed, as `shapes` does.
    """
    if out not in graph:
        return Refusal(f"the graph has no node {out!r}")
    shapes = graph.shapes
    geometries = {
        node.name: row_geometry(node, tuple(shapes[name] for name in node.inputs), shapes[node.name]) for node in graph.nodes
    }
    if geometries[out].refusal:
        return Refusal(f"{out!r} cannot be cut into tiles: {geometries[out].refusal}")
    low = _grow(graph, out, geometries)
    names = _shrink(graph, out, low)
    if len(names) < 2:
        return Refusal(f"{out!r} is computed from nodes that stay whole: tiles would save nothing")
    read = {name for node in graph.nodes if node.name in names for name in node.inputs} - names
    boundary = tuple(node.name for node in graph.nodes if node.name in read)
    return Region(out, list_orders(graph, out, names, shapes), boundary, {name: geometries[name] for name in names}, shapes)


def find_ends(graph: Graph, whole: Region) -> Iterator[Region]:
    """Yield a region, and the smaller regions that end above its output.

    Such a region ends at a narrow map if from there on each map is read by one node only, and if the step below it reads
    neighbouring rows. Run whole, the steps below need next to no memory, and what is above them needs no row beyond a cut.
    """
    yield whole
    readers, widest = graph.consumers, max(math.prod(whole.shapes[name]) for name in whole.nodes)
    node = graph[whole.out]
    while len(node.inputs) == 1:
        above, row = node.inputs[0], whole.shapes[node.name][1] // 2
        narrow = NARROW * math.prod(whole.shapes[above]) <= widest
        if not narrow or above not in whole.geometries or readers[above] != (node.name,):
            return
        if whole.geometries[node.name].needed((row, row + 1)) != (row, row + 1):
            end = find_region(graph, above)
            if isinstance(end, Region):
                yield end
        node = graph[above]


def _grow(graph: Graph, out: str, geometries: Mapping[str, Geometry]) -> Mapping[str, bool]:
    """Return the nodes that can join, each with whether it is below an upsampling along the rows."""
    low = {out: False}
    for node in reversed(graph.nodes):
        readers = tuple(graph[name] for name in graph.consumers[node.name])
        if not readers or node.name in (out, *graph.outputs) or any(reader.name not in low for reader in readers):
            continue
        below = {low[reader.name] or _grows(reader) for reader in readers}
        ends = any(_ends(node, reader, low[reader.name], graph.shapes) for reader in readers)
        if len(below) > 1 or geometries[node.name].refusal or ends:
            continue
        if below == {False} or _is_cheap(node, graph.shapes[node.name]):
            low[node.name] = below.pop()
    return low


def _grows(node: Node) -> bool:
    if node.op == "interpolated_sum":
        return bool(node.attrs["axis"] == 1)
    return node.op == "upsample" and bool(node.attrs["size"][0] > 1)


def _ends(node: Node, reader: Node, low: bool, shapes: Mapping[str, Shape]) -> bool:
    """Return whether what `reader` reads stays whole in any case.

    This holds for a single row that is used for all rows, for a map with more rows than the pooling that reads it, and for the
    input of a cheap convolution.
    """
    if reader.kind.merges:
        return broadcasts(shapes[node.name], shapes[reader.name])
    if "pool_size" in reader.attrs:
        return bool(reader.attrs["strides"][0] > 1)
    return low and reader.op == "conv"


def _is_cheap(node: Node, shape: Shape) -> bool:
    if node.op == "conv":
        kernel = node.weights["kernel"]
        return bool(kernel.shape[0] == 1 and math.prod(shape) >= KERNELS * kernel.size)
    return node.kind.cheap or is_relu(node)


def _shrink(graph: Graph, out: str, low: Mapping[str, bool]) -> frozenset[str]:
    """Return the nodes without those that stay whole because their inputs would stay whole and are no smaller than they are.

    Among the nodes at full height, which tiling is for, this is asked of two kinds only: ReLUs, which belong to the kernel that
    computes their input, and convolutions whose map is slim beside the widest. The slim map takes the place of its input and
    stays whole.
    """
    kept, sizes = set(low), {name: math.prod(shape) for name, shape in graph.shapes.items()}
    widest = max(sizes[name] for name in low)

    def asked(node: Node) -> bool:
        slim = node.op == "conv" and SLIM * sizes[node.name] <= widest
        return low[node.name] or is_relu(node) or slim

    for node in graph.nodes:
        if node.name not in low or node.name == out or kept.intersection(node.inputs):
            continue
        alone = [name for name in set(node.inputs) if kept.intersection(graph.consumers[name]) == {node.name}]
        if sizes[node.name] <= sum(sizes[name] for name in alone) and asked(node):
            kept.remove(node.name)
    return frozenset(kept)
