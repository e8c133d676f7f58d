"""Hoisted pointwise convolutions: a 1x1 convolution to fewer channels runs before its map is moved instead of after.

A 1x1 convolution treats every pixel alike, and a move only gives the pixels another order. A move is a reshape to rows and
columns of another length that keeps the channels, or a concatenation of maps along rows or columns. So they commute,

    K join(x_1, ..., x_n) = join(K x_1, ..., K x_n)        K reshape(x) = reshape(K x)

pixel by pixel with the same sums, hence bit for bit; and what is moved has fewer channels. Such moves end the form of
`winograd`, which joins the rows of two halves, and such a convolution is part of the mask's head in its `low rank` form.

Domain: 1x1, stride 1, ungrouped, fewer channels out than in, and nothing else reads the moved map. Nothing is measured: the
arithmetic is the same, and less is moved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.rewriting.rule import Match, Refusal
from u3p_edge.rewriting.rules.pieces import is_plain, replace_nodes


@dataclass(frozen=True)
class PointwiseFirst:
    """Convolve, then move."""

    name: ClassVar[str] = "pointwise first"
    exact: ClassVar[bool] = True

    def match(self, graph: Graph, name: str) -> Match | Refusal | None:
        """See `Rule.match`."""
        conv = graph[name]
        if conv.op != "conv" or conv.weights["kernel"].shape[:2] != (1, 1):
            return None
        move = graph[conv.inputs[0]]
        if not _moves(graph, move):
            return None
        if is_plain(conv):
            return Refusal(is_plain(conv))
        if conv.weights["kernel"].shape[3] >= conv.weights["kernel"].shape[2]:
            return Refusal("it has as many channels out as in, so nothing less would be moved")
        if graph.consumers[move.name] != (name,) or move.name in graph.outputs:
            return Refusal("something else reads the moved map")
        return Match(name, (move.name, name))

    def rewrite(self, graph: Graph, match: Match) -> Graph:
        """See `Rule.rewrite`."""
        move, conv = (graph[name] for name in match.nodes)
        parts = [replace(conv, name=f"{conv.name}_of{i}", inputs=(source,)) for i, source in enumerate(move.inputs)]
        attrs = dict(move.attrs)
        if move.op == "reshape":
            attrs["target_shape"] = (*graph.shapes[move.name][1:3], conv.weights["kernel"].shape[3])
        moved = Node(conv.name, move.op, tuple(part.name for part in parts), attrs)
        return replace_nodes(graph, match.nodes, [*parts, moved])


def hoist_pointwise(graph: Graph) -> Graph:
    """Return the graph with the rule applied wherever it can be."""
    rule = PointwiseFirst()
    for node in graph.nodes:
        match = rule.match(graph, node.name) if node.name in graph else None
        if isinstance(match, Match):
            # The convolution may now read another move.
            return hoist_pointwise(rule.rewrite(graph, match))
    return graph


def _moves(graph: Graph, node: Node) -> bool:
    shapes = graph.shapes
    if node.op == "reshape":
        before, after = shapes[node.inputs[0]], shapes[node.name]
        return len(before) == len(after) == 4 and before[3] == after[3]
    return node.op == "concat" and len(shapes[node.name]) == 4 and node.attrs["axis"] % 4 in (1, 2)
