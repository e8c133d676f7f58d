"""A convolution of hardly any channels, with g neighbouring columns as the channels of one pixel.

Vector units process channels by the dozen. In a convolution that reads one channel, or computes one, most lanes compute
nothing. The reshape x'[i, J, (c, k)] = x[i, g J + c, k] moves no data and gives a map with g times the channels. With taps b
from -r to r along columns,

    y[i, g J + p, f] = sum over a, b, k of K[a, b, k, f] x[i + a, g J + p + b, k]

is a convolution of three columns with the kernel K'[a, D, (c, k), (p, f)] = K[a, g D + c - p, k, f], which is zero where K has
no such tap. The zero padding is one of whole pixels of x', so it is the same at the borders. There are g times the
multiplications, in lanes that had nothing to do, for a g-th of the pixels.

Domain: stride 1, odd kernel, `same`, not dilated or grouped, linear or ReLU; at most `FEW` channels on one side, and columns in
whole groups of g >= r, two groups at least. Here g is 4; sixteen were never faster.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.rewriting.rule import Match, Refusal
from u3p_edge.rewriting.rules.pieces import is_plain, replace_nodes

GROUP = 4
"""The number of columns that become channels, g."""

FEW = 4
"""If there are more channels than this both in and out, too few lanes are empty for the rule to apply."""


@dataclass(frozen=True)
class ColumnsAsChannels:
    """Convolve the map reshaped so that columns are channels."""

    name: ClassVar[str] = "columns as channels x4"
    exact: ClassVar[bool] = True

    def match(self, graph: Graph, name: str) -> Match | Refusal | None:
        """See `Rule.match`."""
        conv = graph[name]
        if conv.op != "conv":
            return None
        reason = is_plain(conv) or _reason(conv, graph.shapes[name][2])
        return Refusal(reason) if reason else Match(name, (name,))

    def rewrite(self, graph: Graph, match: Match) -> Graph:
        """See `Rule.rewrite`."""
        conv, (_, height, width, filters) = graph[match.node], graph.shapes[match.node]
        name, g, channels = conv.name, GROUP, conv.weights["kernel"].shape[2]
        weights = {"kernel": _group_columns(conv.weights["kernel"], g)}
        if "bias" in conv.weights:
            weights["bias"] = np.tile(conv.weights["bias"], g)
        seen = Node(f"{name}_grouped", "reshape", conv.inputs, {"target_shape": (height, width // g, g * channels)})
        wide = replace(conv, name=f"{name}_wide", inputs=(seen.name,), weights=weights)
        return replace_nodes(
            graph, (name,), [seen, wide, Node(name, "reshape", (wide.name,), {"target_shape": (height, width, filters)})]
        )


def _reason(conv: Node, width: int) -> str:
    """Return why a convolution over that many columns is not in the domain; empty if it is."""
    _, columns, channels, filters = conv.weights["kernel"].shape
    if min(filters, channels) > FEW:
        return f"it has {channels} channels in and {filters} out, which fill the lanes"
    if columns == 1 or columns // 2 > GROUP:
        return f"its kernel has {columns} columns, for groups of {GROUP}"
    if width % GROUP or width < 2 * GROUP:
        return f"its {width} columns do not make two or more groups of {GROUP}"
    return ""


def _group_columns(kernel: npt.NDArray[np.float32], g: int) -> npt.NDArray[np.float32]:
    """Return the kernel K' of the module's docstring: [kh, 3, g C, g F]."""
    height, columns, channels, filters = kernel.shape
    new = np.zeros((height, 3, g, channels, g, filters), np.float32)
    for tap in range(columns):
        for p in range(g):
            step, c = divmod(p + tap - columns // 2, g)
            new[:, step + 1, c, :, p] = kernel[:, tap]
    return new.reshape(height, 3, g * channels, g * filters)


RULES = (ColumnsAsChannels(),)
