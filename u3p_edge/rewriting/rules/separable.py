"""A k x k convolution over an upsampled map, as 1x1 convolutions of the small map.

With U the interpolation (bilinear or nearest), z the small map, K[a, b] the taps of the kernel and T the shift by one row or
column with zero fill:

    conv(U z) = sum over a, b of  T_rows^a T_columns^b  K[a, b] (U z)

A 1x1 convolution mixes channels and U mixes pixels, so they commute: K (U z) = U (K z). U is separable, U = U_rows U_columns,
and an operation on rows commutes with one on columns, so the sums nest:

    conv(U z) = sum over b of T_columns^b U_columns ( sum over a of T_rows^a U_rows (K[a, b] z) )

There are k^2 products of one map that is s^2 times smaller (those of a row of the kernel in one convolution), k^2
interpolations along rows of maps that are s times narrower, and k along columns at full size. For scale s the number of
multiplications falls by a factor of s^2. Bilinear weights sum to one everywhere (edges are clamped), so the bias may be added
to the tap that is not shifted. The shifts fill with zeros, as the convolution's border does, and the interpolation clamps, as
the upsampling's does. So the form is exact at all borders.

Domain: that of `match_upsampled` (stride 1, odd kernel, `same`, not dilated or grouped, linear or ReLU), with a
kernel of more than one column.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.rewriting.rule import Match, Refusal
from u3p_edge.rewriting.rules.pieces import COLUMNS, ROWS, add_maps, bias_of, conv_node, replace_nodes, shift_map
from u3p_edge.rewriting.rules.upsampled import match_upsampled


@dataclass(frozen=True)
class Separable:
    """Compute the products at low resolution; interpolate and sum them along rows, then along columns."""

    name: ClassVar[str] = "separable"
    exact: ClassVar[bool] = True

    def match(self, graph: Graph, name: str) -> Match | Refusal | None:
        """See `Rule.match`."""
        match = match_upsampled(graph, name)
        if not isinstance(match, Match):
            return match
        height, width = graph[name].weights["kernel"].shape[:2]
        rows, columns = graph.shapes[name][1:3]
        if width == 1:
            return Refusal("its kernel is one column wide, and the last sum, which carries name and ReLU, is over columns")
        if rows <= height // 2 or columns <= width // 2:
            return Refusal(f"a map of {rows}x{columns} is too small to be shifted by half a {height}x{width} kernel")
        return match

    def rewrite(self, graph: Graph, match: Match) -> Graph:
        """See `Rule.rewrite`."""
        up, conv = (graph[name] for name in match.nodes)
        return replace_nodes(graph, match.nodes, _nodes(up, conv, graph.shapes[up.inputs[0]][2]))


def _nodes(up: Node, conv: Node, width: int) -> list[Node]:
    nodes, taps = column_taps(up, conv, width)
    columns = []
    for b, name in enumerate(taps):
        added = [*_grown(f"{name}_columns", name, up, COLUMNS)]
        by = b - len(taps) // 2
        added += shift_map(f"{name}_shifted", added[-1].name if added else name, COLUMNS, by) if by else []
        nodes += added
        columns.append(added[-1].name if added else name)
    return [*nodes, *add_maps(conv.name, columns, conv.attrs["activation"] == "relu")]


def column_taps(up: Node, conv: Node, width: int) -> tuple[list[Node], list[str]]:
    """Return nodes, and the names among them of the maps v_b = sum over a of T_rows^a U_rows (K[a, b] z), for every column b.

    The taps of a row of the kernel are one convolution, side by side in the channels. The results for the kernel's rows lie
    side by side in the columns of one map, `width` each. So all are upsampled along rows at once, and what is then done along
    rows is done to all b at once.
    """
    kernel, name = conv.weights["kernel"], conv.name
    height, count, _, filters = kernel.shape
    nodes: list[Node] = []
    for a in range(height):
        biases = np.zeros((count, filters), np.float32)
        biases[count // 2] = bias_of(conv)
        taps = np.concatenate(kernel[a], axis=-1)[None, None]
        row = f"{name}_tap{a}" if height > 1 else f"{name}_taps"
        nodes.append(conv_node(row, up.inputs[0], taps, biases.reshape(-1) if a == height // 2 else None))
    if height > 1:
        nodes.append(Node(f"{name}_taps", "concat", tuple(tap.name for tap in nodes), {"axis": 2}))
    nodes += _grown(f"{name}_taps_rows", f"{name}_taps", up, ROWS)
    summed = nodes[-1].name
    if height > 1:
        rows = []
        for a in range(height):
            beside = (a * width, (height - 1 - a) * width)
            nodes += shift_map(f"{name}_row{a}", summed, ROWS, a - height // 2, beside)
            rows.append(nodes[-1].name)
        nodes += add_maps(f"{name}_rows", rows, relu=False)
        summed = nodes[-1].name
    columns = [f"{name}_column{b}" for b in range(count)]
    for b, column in enumerate(columns):
        channels = (b * filters, (b + 1) * filters)
        nodes.append(Node(column, "crop", (summed,), {"cropping": ((0, 0), (0, 0)), "channels": channels}))
    return nodes, columns


def _grown(name: str, source: str, up: Node, axis: int) -> list[Node]:
    """Return the upsampling of `source` along one axis, or no node where the factor is 1."""
    factor = up.attrs["size"][axis]
    size = (factor, 1) if axis == ROWS else (1, factor)
    attrs = {"size": size, "interpolation": up.attrs["interpolation"]}
    return [Node(name, "upsample", (source,), attrs)] if factor > 1 else []


RULES = (Separable(),)
