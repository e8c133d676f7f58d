"""The separable form with one interpolation at full size instead of three.

`separable` ends in the sum of three interpolated maps, each shifted by a column. With L, M, R the maps of the three taps,

    out[j] = (U L)[j - 1] + (U M)[j] + (U R)[j + 1]        zero beyond the ends

Bilinear interpolation is linear between the centres of the small map's pixels, so a shift by one column changes it by a
constant there. Between the centres i and i + 1 lie s columns p = 0 .. s - 1 (s is even, so no column is a centre). With

    a_i = (L_{i+1} - L_i) / 2s,   b_i = (R_{i+1} - R_i) / 2s,   S_i = b_i - a_i,   X_i = b_i - a_{i-1}

out = U(L + M + R) + N. Here L + M + R is one product with the sum of the taps, and N has three values in each interval:

    p = 0: S_i + X_i        0 < p < s - 1: 2 S_i        p = s - 1: S_i + X_{i+1}

because only the first and the last column read a neighbour across a centre, half on either side. The intervals before the first
and after the last centre are clamped: a and b are zero there. The zeros beyond the ends take L_0 off column 0 and R_{w-1} off
the last column, where the clamped U would have read them.

N is computed at low resolution: its s values lie side by side in the channels and are reshaped to s columns, which moves no
data. In XNNPACK a copy is six times cheaper than a sum, and a sum two to three times cheaper than an interpolation.

Domain: that of `separable`, with a bilinear upsampling by an even factor along columns, at least two columns in the small map
and a kernel of three columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.rewriting.rule import Match, Refusal
from u3p_edge.rewriting.rules.pieces import add_maps, replace_nodes
from u3p_edge.rewriting.rules.separable import Separable, column_taps


@dataclass(frozen=True)
class OneInterpolation:
    """Interpolate the sum of the taps, and add what the shifts of the taps change."""

    name: ClassVar[str] = "separable once"
    exact: ClassVar[bool] = True

    def match(self, graph: Graph, name: str) -> Match | Refusal | None:
        """See `Rule.match`."""
        match = Separable().match(graph, name)
        if not isinstance(match, Match):
            return match
        up, conv = (graph[node] for node in match.nodes)
        if up.attrs["interpolation"] != "bilinear" or up.attrs["size"][1] % 2:
            return Refusal("it needs a bilinear upsampling by an even factor along columns")
        if conv.weights["kernel"].shape[1] != 3:
            return Refusal(f"its kernel has {conv.weights['kernel'].shape[1]} columns, not 3")
        if graph.shapes[up.inputs[0]][2] < 2:
            return Refusal("the small map has one column, and nothing to interpolate between")
        return match

    def rewrite(self, graph: Graph, match: Match) -> Graph:
        """See `Rule.rewrite`."""
        up, conv = (graph[name] for name in match.nodes)
        _, height, width, filters = graph.shapes[conv.name]
        factor, name = up.attrs["size"][1], conv.name
        nodes, (left, whole, right) = column_taps(up, _summed(conv), width // factor)
        nodes.append(Node(f"{name}_up", "upsample", (whole,), {"size": (1, factor), "interpolation": "bilinear"}))
        nodes += _steps(name, left, right, filters, factor)
        nodes += _corrections(name, left, right, width // factor, factor)
        nodes += _join_intervals(name, (height, width, filters), factor)
        nodes += add_maps(name, [f"{name}_up", f"{name}_change"], conv.attrs["activation"] == "relu")
        return replace_nodes(graph, match.nodes, nodes)


def _summed(conv: Node) -> Node:
    """Return the convolution with the sum of all columns of its kernel in place of the middle column.

    No other term needs the middle column.
    """
    kernel = conv.weights["kernel"].copy()
    kernel[:, 1] = kernel.sum(axis=1, dtype=np.float64)
    return replace(conv, weights={**conv.weights, "kernel": kernel})


def _columns(name: str, op: str, source: str, left: int, right: int) -> Node:
    """Return a node that crops or pads columns."""
    return Node(name, op, (source,), {"cropping" if op == "crop" else "padding": ((0, 0), (left, right))})


def _steps(name: str, left: str, right: str, filters: int, factor: int) -> list[Node]:
    """Return nodes for `<name>_first`, `_mid` and `_last`, the values of N in each interval.

    Each is [H, w + 1, f], for the intervals -1 .. w - 1.
    """
    scale = np.eye(filters, dtype=np.float32) / np.float32(2 * factor)
    kernel = np.stack([-scale, scale])[None]
    return [
        Node(f"{name}_a", "conv", (left,), {"padding": "valid"}, {"kernel": kernel}),
        Node(f"{name}_b", "conv", (right,), {"padding": "valid"}, {"kernel": kernel}),
        _columns(f"{name}_as", "pad", f"{name}_a", 1, 1),
        _columns(f"{name}_bs", "pad", f"{name}_b", 1, 1),
        Node(f"{name}_s", "subtract", (f"{name}_bs", f"{name}_as")),
        _columns(f"{name}_b_from_0", "crop", f"{name}_bs", 1, 0),
        _columns(f"{name}_a_before", "crop", f"{name}_as", 0, 1),
        Node(f"{name}_x", "subtract", (f"{name}_b_from_0", f"{name}_a_before")),
        _columns(f"{name}_x_own", "pad", f"{name}_x", 1, 0),
        _columns(f"{name}_x_next", "pad", f"{name}_x", 0, 1),
        Node(f"{name}_first", "add", (f"{name}_s", f"{name}_x_own")),
        Node(f"{name}_last", "add", (f"{name}_s", f"{name}_x_next")),
        *([Node(f"{name}_mid", "add", (f"{name}_s", f"{name}_s"))] if factor > 2 else []),
    ]


def _corrections(name: str, left: str, right: str, small: int, factor: int) -> list[Node]:
    """Return nodes for `<name>_to_end` and `<name>_from_start`.

    They are the values of the columns just before and just after the middle of an interval. In the outermost intervals, these
    columns are the map's last and first column.
    """
    before, behind = (f"{name}_first", f"{name}_last") if factor == 2 else (f"{name}_mid", f"{name}_mid")
    return [
        _columns(f"{name}_left_0", "crop", left, 0, small - 1),
        _columns(f"{name}_left_edge", "pad", f"{name}_left_0", 0, small),
        Node(f"{name}_from_start", "subtract", (behind, f"{name}_left_edge")),
        _columns(f"{name}_right_0", "crop", right, small - 1, 0),
        _columns(f"{name}_right_edge", "pad", f"{name}_right_0", small, 0),
        Node(f"{name}_to_end", "subtract", (before, f"{name}_right_edge")),
    ]


def _join_intervals(name: str, shape: tuple[int, int, int], factor: int) -> list[Node]:
    """Return nodes for `<name>_change`, which is N as [H, W, f]."""
    height, width, filters = shape
    half = factor // 2
    mids = [f"{name}_mid"] * (half - 2)
    halves = ([f"{name}_first", *mids], [*mids, f"{name}_last"]) if factor > 2 else ([], [])
    pieces = (*halves[0], f"{name}_to_end", f"{name}_from_start", *halves[1])
    return [
        Node(f"{name}_pieces", "concat", pieces),
        Node(f"{name}_intervals", "reshape", (f"{name}_pieces",), {"target_shape": (height, width + factor, filters)}),
        _columns(f"{name}_change", "crop", f"{name}_intervals", half, half),
    ]


RULES = (OneInterpolation(),)
