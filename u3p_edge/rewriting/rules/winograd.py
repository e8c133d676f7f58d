"""A convolution of three taps along an axis with two thirds of its multiplications: Winograd's F(2, 3) on whole maps.

Two neighbouring outputs of a three-tap filter g over d0 .. d3 (Winograd 1980; Lavin and Gray 2016, arXiv:1509.09308):

    m0 = (d0 - d2) g0                 y0 = d0 g0 + d1 g1 + d2 g2 = m0 + m1 + m2
    m1 = (d1 + d2) (g0 + g1 + g2)/2   y1 = d1 g0 + d2 g1 + d3 g2 = m1 - m2 - m3
    m2 = (d2 - d1) (g0 - g1 + g2)/2
    m3 = (d1 - d3) g2

Four products for two outputs instead of six. Here the d are whole rows of a map. With a row of zeros before the first and after
the last, d0 and d2 are its even rows, from the first and from the second on, and d1 and d3 its odd ones. Each g is a
convolution of kernel height 1, and the products are four convolutions over maps of half the height. To separate even and odd
rows, [H + 2, W, C] is reshaped to [H / 2 + 1, 2W, C], which moves no data, and cropped. A kernel of three columns is treated in
the same way inside each product, which leaves 4/9 of the multiplications. In that case the four pixels of a 2x2 block are first
moved into the channels, and the four results are moved back.

The bias is added to m1, which both outputs add once. In integers each m is rounded to steps of its range before the sum, about
one bit coarser than one accumulator. Training or calibration sees this, because the products are nodes of the graph.

Domain: stride 1, `same`, not dilated or grouped, linear or ReLU, kernel 3 along the axis, an even number of rows (columns).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import Shape
from u3p_edge.rewriting.rule import Match, Refusal
from u3p_edge.rewriting.rules.pieces import COLUMNS, ROWS, Array, add_maps, conv_node, is_plain, replace_nodes

PRODUCTS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
"""The matrix that makes the four filters from the three taps."""

OPERANDS = (("subtract", 0, 2), ("add", 1, 2), ("subtract", 2, 1), ("subtract", 1, 3))
"""What each filter is applied to: d0 - d2, d1 + d2, d2 - d1, d1 - d3."""


@dataclass(frozen=True)
class Winograd:
    """F(2, 3) along rows, or along rows and columns."""

    axes: Literal["rows", "both"] = "rows"
    exact: ClassVar[bool] = True

    @property
    def name(self) -> str:
        """See `Rule.name`."""
        return "winograd" if self.axes == "rows" else "winograd 2d"

    def match(self, graph: Graph, name: str) -> Match | Refusal | None:
        """See `Rule.match`."""
        conv = graph[name]
        if conv.op != "conv":
            return None
        reason = is_plain(conv) or self._reason(conv, graph.shapes[name])
        return Refusal(reason) if reason else Match(name, (name,))

    def _reason(self, conv: Node, shape: Shape) -> str:
        for axis in (ROWS,) if self.axes == "rows" else (ROWS, COLUMNS):
            what = ("rows", "columns")[axis]
            if conv.weights["kernel"].shape[axis] != 3:
                return f"its kernel has {conv.weights['kernel'].shape[axis]} {what}, not 3"
            if shape[1 + axis] % 2 or shape[1 + axis] < 4:
                return f"its map has {shape[1 + axis]} {what}, which do not pair"
        return ""

    def rewrite(self, graph: Graph, match: Match) -> Graph:
        """See `Rule.rewrite`."""
        conv = graph[match.node]
        _, height, width, _ = graph.shapes[match.node]
        new = _by_rows(conv, (height, width)) if self.axes == "rows" else _by_both(conv)
        return replace_nodes(graph, match.nodes, list(new))


def _by_rows(conv: Node, size: tuple[int, int]) -> Iterator[Node]:
    """Yield the nodes of the form along rows.

    Pairs of rows lie side by side in the reshaped padded map, and crops separate them.
    """
    (height, width), name, relu = size, conv.name, conv.attrs["activation"] == "relu"
    channels, filters = conv.weights["kernel"].shape[2:]
    half = height // 2
    yield Node(f"{name}_padded", "pad", conv.inputs, {"padding": ((1, 1), (0, 0))})
    yield Node(f"{name}_pairs", "reshape", (f"{name}_padded",), {"target_shape": (half + 1, 2 * width, channels)})

    def part(first: int, odd: bool) -> dict[str, Any]:
        return {"cropping": ((first, 1 - first), (width, 0) if odd else (0, width))}

    yield from _operands(name, f"{name}_pairs", part)
    for i, kernel in enumerate(_products(conv.weights["kernel"], ROWS)):
        yield conv_node(f"{name}_m{i}", f"{name}_t{i}", kernel, conv.weights.get("bias") if i == 1 else None)
    yield from _results(name, [f"{name}_m{i}" for i in range(4)], relu)
    yield Node(f"{name}_pair", "concat", (f"{name}_first", f"{name}_second"), {"axis": 2})
    yield Node(name, "reshape", (f"{name}_pair",), {"target_shape": (height, width, filters)})


def _by_both(conv: Node) -> Iterator[Node]:
    """Yield the nodes of the form along rows and columns.

    The four pixels of a 2x2 block lie in the channels, and crops separate them: along rows, two pixels at once.
    """
    name, relu = conv.name, conv.attrs["activation"] == "relu"
    channels = conv.weights["kernel"].shape[2]
    yield Node(f"{name}_padded", "pad", conv.inputs, {"padding": ((1, 1), (1, 1))})
    yield Node(f"{name}_blocks", "space_to_depth", (f"{name}_padded",))

    def by_row(first: int, odd: bool) -> dict[str, Any]:
        return {"cropping": ((first, 1 - first), (0, 0)), "channels": (2 * channels * odd, 2 * channels * (1 + odd))}

    def by_column(first: int, odd: bool) -> dict[str, Any]:
        return {"cropping": ((0, 0), (first, 1 - first)), "channels": (channels * odd, channels * (1 + odd))}

    yield from _operands(name, f"{name}_blocks", by_row)
    for i, rows in enumerate(_products(conv.weights["kernel"], ROWS)):
        one = f"{name}_{i}"
        yield from _operands(one, f"{name}_t{i}", by_column)
        for j, kernel in enumerate(_products(rows, COLUMNS)):
            bias = conv.weights.get("bias") if (i, j) == (1, 1) else None
            yield conv_node(f"{one}_m{j}", f"{one}_t{j}", kernel, bias)
        yield from _results(one, [f"{one}_m{j}" for j in range(4)], relu=False)
        yield Node(f"{name}_m{i}", "concat", (f"{one}_first", f"{one}_second"))
    yield from _results(name, [f"{name}_m{i}" for i in range(4)], relu)
    yield Node(f"{name}_places", "concat", (f"{name}_first", f"{name}_second"))
    yield Node(name, "depth_to_space", (f"{name}_places",))


def _products(kernel: Array, axis: int) -> list[Array]:
    """Return the four kernels, of length 1 along the axis."""
    taps = np.moveaxis(kernel.astype(np.float64), axis, 0)
    mixed = np.tensordot(PRODUCTS, taps, axes=1)
    return [np.expand_dims(part, axis).astype(np.float32) for part in mixed]


def _operands(name: str, source: str, part: Callable[[int, bool], dict[str, Any]]) -> Iterator[Node]:
    """Yield the nodes for `<name>_t0` to `_t3`.

    `part(first, odd)` crops the even or odd rows (columns), from the first or the second on. The padded map begins with the
    zeros before the first row (column), so its even ones are d0 and d2, its odd ones d1 and d3.
    """
    for k in range(4):
        yield Node(f"{name}_d{k}", "crop", (source,), part(k // 2, bool(k % 2)))
    for i, (op, left, right) in enumerate(OPERANDS):
        yield Node(f"{name}_t{i}", op, (f"{name}_d{left}", f"{name}_d{right}"))


def _results(name: str, products: Sequence[str], relu: bool) -> Iterator[Node]:
    """Yield the nodes for m0 + m1 + m2 as `<name>_first` and m1 - m2 - m3 as `<name>_second`."""
    m0, m1, m2, m3 = products
    yield from add_maps(f"{name}_first", [m1, m2, m0], relu)
    last = f"{name}_second_sum" if relu else f"{name}_second"
    yield Node(f"{name}_second_part", "subtract", (m1, m2))
    yield Node(last, "subtract", (f"{name}_second_part", m3))
    if relu:
        yield Node(f"{name}_second", "activation", (last,), {"function": "relu"})


RULES = (Winograd("rows"), Winograd("both"))
