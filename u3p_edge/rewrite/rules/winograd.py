"""A convolution of three taps along an axis with two thirds of its multiplications: Winograd's F(2, 3) on whole maps.

Two neighbouring outputs of a three-tap filter g over d0 .. d3 (Winograd 1980; Lavin and Gray 2016, arXiv:1509.09308):

    m0 = (d0 - d2) g0                 y0 = d0 g0 + d1 g1 + d2 g2 = m0 + m1 + m2
    m1 = (d1 + d2) (g0 + g1 + g2)/2   y1 = d1 g0 + d2 g1 + d3 g2 = m1 - m2 - m3
    m2 = (d2 - d1) (g0 - g1 + g2)/2
    m3 = (d1 - d3) g2

Four products for two outputs instead of six. Here d are whole rows of a map: with E its even and O its odd rows,

    d1 = E,  d2 = O,  d0 = O one row up (zeros before the first),  d3 = E one row down (zeros after the last)

each g is a convolution of kernel height 1, and the products are four convolutions over maps of half the height. Even and odd
rows come apart by viewing [H, W, C] as [H/2, 2W, C], which moves nothing, and two column crops. A kernel of three columns is
done the same way with [H, W, C] viewed as [HW/2, 2, C]; both, one inside the other, leave 4/9 of the multiplications.

The bias rides on m1, which both outputs add once. In integers each m is rounded to its own steps before the sum, about one
bit coarser than one accumulator: training or calibration sees that, because the graph says it.

Domain: stride 1, `same`, not dilated or grouped, linear or ReLU, kernel 3 along the axis, an even number of rows (columns).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from u3p_edge.graph.ir import Graph, Node, shapes
from u3p_edge.graph.ops import Shape
from u3p_edge.rewrite.rule import Match, Refusal
from u3p_edge.rewrite.rules.pieces import COLUMNS, ROWS, Array, convolution, is_plain, replaced, shifted, total

PRODUCTS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
"""The four filters from the three taps."""

OPERANDS = (("subtract", "before", "odd"), ("add", "even", "odd"), ("subtract", "odd", "even"), ("subtract", "even", "after"))
"""What each filter is applied to."""


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
        reason = is_plain(conv) or self._reason(conv, shapes(graph)[name])
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
        _, height, width, _ = shapes(graph)[match.node]
        axes = (ROWS,) if self.axes == "rows" else (ROWS, COLUMNS)
        new = _nodes(conv, (height, width), axes)
        return replaced(graph, match.nodes, list(new))


def _nodes(conv: Node, size: tuple[int, int], axes: tuple[int, ...]) -> Iterator[Node]:
    """The convolution along the first of `axes`; along the others inside its products."""
    axis, name, relu = axes[0], conv.name, conv.attrs["activation"] == "relu"
    source, kernel, own_bias = conv.inputs[0], conv.weights["kernel"], conv.weights.get("bias")
    channels, filters = kernel.shape[2:]
    half = (size[0] // 2, size[1]) if axis == ROWS else (size[0], size[1] // 2)
    yield from _halves(name, source, size, channels, axis)
    products = _products(kernel, axis)
    for i in (1, 2, 0, 3):
        op, left, right = OPERANDS[i]
        yield Node(f"{name}_t{i}", op, (f"{name}_{left}", f"{name}_{right}"))
        product = convolution(f"{name}_m{i}", f"{name}_t{i}", products[i], own_bias if i == 1 else None)
        if len(axes) == 1:
            yield product
        else:
            yield from _nodes(product, half, axes[1:])
    yield from total(f"{name}_first", [f"{name}_m{i}" for i in (1, 2, 0)], relu)
    yield from _second(name, relu)
    yield from _interleaved(name, (*size, filters), axis)


def _products(kernel: Array, axis: int) -> list[Array]:
    """The four kernels, of length 1 along the axis."""
    taps = np.moveaxis(kernel.astype(np.float64), axis, 0)
    mixed = np.tensordot(PRODUCTS, taps, axes=1)
    return [np.expand_dims(part, axis).astype(np.float32) for part in mixed]


def _halves(name: str, source: str, size: tuple[int, int], channels: int, axis: int) -> Iterator[Node]:
    """`<name>_even`, `_odd`, `_before`, `_after`: [H/2, W, C] each along rows, [H, W/2, C] along columns."""
    height, width = size
    pairs = (height // 2, 2 * width, channels) if axis == ROWS else (height * width // 2, 2, channels)
    length = width if axis == ROWS else 1
    yield Node(f"{name}_pairs", "reshape", (source,), {"target_shape": pairs})
    for which, crop in (("even", (0, length)), ("odd", (length, 0))):
        half = f"{name}_{which}" if axis == ROWS else f"{name}_{which}_list"
        yield Node(half, "crop", (f"{name}_pairs",), {"cropping": ((0, 0), crop)})
        if axis == COLUMNS:
            yield Node(f"{name}_{which}", "reshape", (half,), {"target_shape": (height, width // 2, channels)})
    yield from shifted(f"{name}_before", f"{name}_odd", axis, -1)
    yield from shifted(f"{name}_after", f"{name}_even", axis, 1)


def _second(name: str, relu: bool) -> Iterator[Node]:
    """m1 - m2 - m3, as `<name>_second`."""
    last = f"{name}_second_sum" if relu else f"{name}_second"
    yield Node(f"{name}_second_part", "subtract", (f"{name}_m1", f"{name}_m2"))
    yield Node(last, "subtract", (f"{name}_second_part", f"{name}_m3"))
    if relu:
        yield Node(f"{name}_second", "activation", (last,), {"function": "relu"})


def _interleaved(name: str, shape: tuple[int, int, int], axis: int) -> Iterator[Node]:
    """`name`, [H, W, F], of which `<name>_first` has the even and `<name>_second` the odd rows (columns)."""
    height, width, filters = shape
    parts = [f"{name}_first", f"{name}_second"]
    if axis == COLUMNS:
        for part in parts:
            yield Node(f"{part}_list", "reshape", (part,), {"target_shape": (height * width // 2, 1, filters)})
        parts = [f"{part}_list" for part in parts]
    yield Node(f"{name}_pair", "concat", tuple(parts), {"axis": 2})
    yield Node(name, "reshape", (f"{name}_pair",), {"target_shape": shape})
