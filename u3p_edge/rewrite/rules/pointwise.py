"""A 1x1 convolution over an upsampled map, moved before the upsampling.

K (U z) = U (K z): the convolution mixes channels, the interpolation mixes pixels. The bias commutes with the upsampling too,
because the weights of an interpolation sum to one. A ReLU commutes with a nearest upsampling, which only copies, but not with a
bilinear one. Left after the upsampling, the ReLU would be an operator of its own, because no runtime fuses it there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from u3p_edge.graph.ir import Graph
from u3p_edge.rewrite.rule import Match, Refusal
from u3p_edge.rewrite.rules import upsampled
from u3p_edge.rewrite.rules.pieces import replace_nodes


@dataclass(frozen=True)
class Pointwise:
    """Convolve, then upsample."""

    name: ClassVar[str] = "pointwise"
    exact: ClassVar[bool] = True

    def match(self, graph: Graph, name: str) -> Match | Refusal | None:
        """See `Rule.match`."""
        found = upsampled.match_upsampled(graph, name)
        if not isinstance(found, Match):
            return found
        conv = graph[name]
        if conv.weights["kernel"].shape[:2] != (1, 1):
            return Refusal("its kernel reads neighbours, which are not neighbours in the small map")
        if conv.attrs["activation"] == "relu" and graph[conv.inputs[0]].attrs["interpolation"] != "nearest":
            return Refusal("its ReLU would stand alone behind the upsampling")
        return found

    def rewrite(self, graph: Graph, match: Match) -> Graph:
        """See `Rule.rewrite`."""
        up, conv = (graph[name] for name in match.nodes)
        small = replace(conv, name=f"{conv.name}_small", inputs=up.inputs)
        return replace_nodes(graph, match.nodes, [small, replace(up, name=conv.name, inputs=(small.name,))])
