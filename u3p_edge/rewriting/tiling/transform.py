"""Spatial tiling: a region of a graph is computed in tiles of rows, by the graph itself.

A full-resolution decoder level reads small maps and computes a small one; only the maps in between are wide. If the level is
computed for a few rows of its output at a time, from the rows of its inputs that those need (`row_ranges`), the wide maps never
exist whole:

    for each tile:  crop the inputs' rows ─► the region's nodes on those rows ─► the tile of the output
    join the tiles along the rows

Everything is static slices and the same operators, so every runtime runs it. The tiles hold the same values as the whole map:
tiling is exact, not approximate. Rows next to a cut are computed more than once; `TiledGraph.extra_macs` says what that costs.
The tiles of a convolution share its weights: they carry the same read-only arrays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from u3p_edge.graph import memory
from u3p_edge.graph.activation import is_relu
from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.scheme import Scheme
from u3p_edge.rewriting.rule import Refusal
from u3p_edge.rewriting.tiling.region import Region, find_region
from u3p_edge.rewriting.tiling.row_ranges import Rows, broadcasts, cut_rows, join_rows

_NOTHING = ((0, 0), (0, 0))


@dataclass(frozen=True)
class Piece:
    """What a node of a tiled graph holds.

    Args:
        node: the node of the original graph whose values it holds.
        tile: the number of the tile that it belongs to, from 0.
        rows: which rows [first, last) of that node's map; next to a cut, some of them may be wrong.
    """

    node: str
    tile: int
    rows: Rows


@dataclass(frozen=True)
class TiledGraph:
    """A graph in which one node's map is computed in tiles.

    Args:
        graph: computes the same function; the node keeps its name, and joins its tiles `<name>_tile<i>`.
        pieces: what each node of a tile holds.
        rows: the rows [first, last) of each tile.
        region: names of the nodes that were computed whole before, in the original graph's order.
        extra_macs: multiply-accumulates done more than once, as a share of the original graph's.
    """

    graph: Graph
    pieces: Mapping[str, Piece]
    rows: tuple[Rows, ...]
    region: tuple[str, ...]
    extra_macs: float

    @property
    def origin(self) -> Mapping[str, str]:
        """For each node of a tile, the node of the original graph whose values it holds some rows of."""
        return {name: piece.node for name, piece in self.pieces.items()}


@dataclass(frozen=True)
class TilingDemand:
    """What a tiled region needs.

    Args:
        bytes: bytes alive at most until its tiles are joined, counting its nodes and those that they read.
        extra_macs: as in `TiledGraph`.
    """

    bytes: int
    extra_macs: float


def tile_node(graph: Graph, out: str, count: int) -> TiledGraph | Refusal:
    """Return the graph with what only the node `out` needs computed in `count` tiles of its rows (`row_ranges.cut_rows`).

    Refused where `find_region` refuses, for fewer than two tiles, and for tiles of less than two rows.
    """
    region = find_region(graph, out)
    return region if isinstance(region, Refusal) else tile_region(graph, region, count)


def tile_region(graph: Graph, region: Region, count: int) -> TiledGraph | Refusal:
    """Do what `tile_node` does, for a known region of the graph."""
    refusal = _refusal(region, count)
    if refusal:
        return refusal
    rows, order = cut_rows(region.height, count), _middle(graph, region, count).order
    tiles = [_Tile(graph, region, order, i, span) for i, span in enumerate(rows)]
    joined = Node(region.out, "concat", tuple(one.result for one in tiles), {"axis": 1})
    new = _put(graph, region, [node for one in tiles for node in one.nodes] + [joined])
    pieces = {name: piece for one in tiles for name, piece in one.pieces.items()}
    macs = cost(graph).total_macs
    extra = cost(new).total_macs / macs - 1 if macs else 0.0
    return TiledGraph(new, pieces, rows, region.nodes, extra)


def estimate_demand(
    graph: Graph, region: Region, count: int, macs: Mapping[str, int], bytes_per_element: int
) -> TilingDemand | Refusal:
    """Return what `tile_region` would need, without making its graph. Of tiles that read equally many rows only one is built.

    Args:
        graph: see `tile_region`, as are `region` and `count`.
        macs: multiply-accumulates of the graph's nodes (`Cost.macs`).
        bytes_per_element: of an activation.
    """
    refusal = _refusal(region, count)
    if refusal:
        return refusal
    middle = _middle(graph, region, count)
    row = math.prod(region.shapes[region.out]) // region.height * bytes_per_element
    known: dict[tuple[int, ...], tuple[int, int]] = {}
    most, more = 0, -sum(macs.get(name, 0) for name in region.nodes)
    for rows in cut_rows(region.height, count):
        kind = _extents(graph, region, rows)
        if kind not in known:
            one = middle if rows == middle.rows else _Tile(graph, region, middle.order, 0, rows)
            known[kind] = one.alive(bytes_per_element), one.macs()
        # The tiles before this one are alive beside it.
        most = max(most, known[kind][0] + rows[0] * row)
        more += known[kind][1]
    return TilingDemand(most, more / max(sum(macs.values()), 1))


def _refusal(region: Region, count: int) -> Refusal | None:
    if count < 2:
        return Refusal("one tile is the whole map")
    if 2 * count > region.height:
        return Refusal(f"the {region.height} rows of {region.out!r} do not make {count} tiles of two rows or more")
    return None


def _middle(graph: Graph, region: Region, count: int) -> _Tile:
    """Return the middle tile, in that of the region's orders in which it needs the least memory.

    The other tiles are computed in the same order.
    """
    rows, middle = cut_rows(region.height, count)[count // 2], count // 2
    tried = [_Tile(graph, region, order, middle, rows) for order in dict.fromkeys(region.orders)]
    return min(tried, key=lambda each: each.alive())


def _extents(graph: Graph, region: Region, rows: Rows) -> tuple[int, ...]:
    """Return how many rows of each node are computed, and how many it reads, for these rows of the output."""
    wanted = _wanted(graph, region, rows)
    pairs = [pair for name in region.nodes for pair in (wanted[name], region.geometries[name].needed(wanted[name]))]
    return tuple(last - first for first, last in pairs)


def carry_scheme(scheme: Scheme, graph: Graph, origin: Mapping[str, str]) -> Scheme:
    """Return the quantization scheme of a tiled graph: each tile's integers mean what those of the whole map did.

    Args:
        scheme: of the original graph.
        graph: the tiled graph.
        origin: see `TiledGraph`; nodes that it does not name are the same in both graphs.
    """
    source = {node.name: origin.get(node.name, node.name) for node in graph.nodes}
    tensors = {name: scheme.tensors[old] for name, old in source.items() if old in scheme.tensors}
    kernels = {n.name: scheme.kernels[source[n.name]] for n in graph.nodes if "kernel" in n.weights}
    return Scheme(tensors, kernels)


def _put(graph: Graph, region: Region, new: list[Node]) -> Graph:
    """Return the graph with `new` at the position of the region's last node."""
    gone, nodes = set(region.nodes), list[Node]()
    for node in graph.nodes:
        if node.name == region.out:
            nodes += new
        elif node.name not in gone:
            nodes.append(node)
    return replace(graph, nodes=tuple(nodes))


class _Tile:
    """One tile: the nodes that compute some rows of a region's output, built one after the other.

    Args:
        order: in which the region's nodes are computed.
        rows: of the region's output.
        nodes: in order.
        pieces: see `TiledGraph`.
        result: the node that holds exactly the tile's rows.
    """

    def __init__(self, graph: Graph, region: Region, order: Sequence[str], index: int, rows: Rows) -> None:
        self._region, self._index, self.order, self.rows = region, index, order, rows
        self._wanted = _wanted(graph, region, rows)
        # Where each node's value is read from: a tensor, and the rows that it holds. Rows next to a cut may be wrong in it.
        self._held: dict[str, tuple[str, Rows]] = {name: (name, (0, _height(region, name))) for name in region.boundary}
        self.nodes: list[Node] = []
        self.pieces: dict[str, Piece] = {}
        for name in order:
            self._held[name] = self._compute(graph[name])
        self.result = self._read(region.out, rows)

    def alive(self, bytes_per_element: int = 1) -> int:
        """Return the bytes alive at most while the tile is computed.

        Other tiles read what stays whole, so that is alive to the end.
        """
        return memory.plan_memory(self._alone(), bytes_per_element=bytes_per_element).live_peak

    def macs(self) -> int:
        """Return the tile's multiply-accumulates."""
        return cost(self._alone()).total_macs

    def _alone(self) -> Graph:
        """Return the tile as a separate graph, whose outputs include what it reads."""
        boundary = self._region.boundary
        inputs = [Node(name, "input", attrs={"shape": self._region.shapes[name]}) for name in boundary]
        return Graph((*inputs, *self.nodes), boundary, (self.result, *boundary))

    def _compute(self, node: Node) -> tuple[str, Rows]:
        """Return the tensor that holds the wanted rows of a node, made now if there is none yet, and the rows that it holds."""
        name, wanted, geometry = f"{node.name}_tile{self._index}", self._wanted[node.name], self._region.geometries[node.name]
        source, held = self._held[node.inputs[0]]
        if node.op == "crop":
            return self._crop(node, name)
        if is_relu(node) and source in self.pieces:
            # The ReLU runs on all its input's rows, also wrong ones: with a crop between, the two would not be one kernel.
            return self._add(replace(node, name=name, inputs=(source,)), node.name, held), held
        rows = geometry.needed(wanted)
        inputs = tuple(self._held[x][0] if _whole(self._region, node, x) else self._read(x, rows) for x in node.inputs)
        new, given = geometry.cut(replace(node, name=name, inputs=inputs), rows, wanted), geometry.given(rows, wanted)
        if new.op == "pad" and tuple(new.attrs["padding"]) == _NOTHING:
            return inputs[0], given
        return self._add(new, node.name, given), given

    def _crop(self, node: Node, name: str) -> tuple[str, Rows]:
        """Return the tensor and rows for a crop.

        A crop along rows means fewer rows of the same tensor, which costs nothing until a node reads them. Columns and channels
        are cropped immediately.
        """
        (top, _), columns = node.attrs["cropping"]
        source, (first, last) = self._held[node.inputs[0]]
        if tuple(columns) == (0, 0) and node.attrs["channels"] is None:
            return source, (first - top, last - top)
        wanted = self._wanted[node.name]
        cropping = ((wanted[0] + top - first, last - wanted[1] - top), columns)
        new = replace(node, name=name, inputs=(source,), attrs={**node.attrs, "cropping": cropping})
        return self._add(new, node.name, wanted), wanted

    def _read(self, name: str, rows: Rows) -> str:
        """Return a tensor with exactly these rows of a node."""
        source, (first, last) = self._held[name]
        if rows == (first, last):
            return source
        # A map that stays whole may be cut for the tiles of several regions.
        mine = name if name in self._region.geometries else f"{self._region.out}_{name}"
        cut = f"{mine}_tile{self._index}_rows{rows[0]}to{rows[1]}"
        if cut in self.pieces:
            return cut
        return self._add(Node(cut, "crop", (source,), {"cropping": ((rows[0] - first, last - rows[1]), (0, 0))}), name, rows)

    def _add(self, node: Node, origin: str, rows: Rows) -> str:
        self.nodes.append(node)
        self.pieces[node.name] = Piece(origin, self._index, rows)
        return node.name


def _wanted(graph: Graph, region: Region, rows: Rows) -> Mapping[str, Rows]:
    """Return, for each node of the region, the hull of the rows that its readers need for these rows of the output."""
    wanted = {region.out: rows}
    for name in reversed(region.nodes):
        need = region.geometries[name].needed(wanted[name])
        for source in graph[name].inputs:
            if source in region.geometries and not _whole(region, graph[name], source):
                wanted[source] = join_rows(wanted.get(source, need), need)
    return wanted


def _whole(region: Region, node: Node, source: str) -> bool:
    """Return whether a node reads all of an input, whichever of its rows it computes."""
    return node.kind.merges and broadcasts(region.shapes[source], region.shapes[node.name])


def _height(region: Region, name: str) -> int:
    return region.shapes[name][1] if len(region.shapes[name]) > 1 else 1
