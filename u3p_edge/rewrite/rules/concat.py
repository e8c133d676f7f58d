"""A convolution over a concatenation, as a sum of convolutions, and back.

A convolution sums over its input channels. With the kernel split along them where the concatenated parts meet,

    conv([x_1, ..., x_n]; K) = sum over i of conv(x_i; K_i)

The sum needs no wide concatenated map; the joined form needs one pass and one accumulator. The bias stays with the first part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.rewrite.rule import Match, Refusal
from u3p_edge.rewrite.rules.pieces import add_maps, bias_of, is_plain, replace_nodes


@dataclass(frozen=True)
class SplitConcat:
    """Replace a convolution over a concatenation by one convolution for each part, and sum their results."""

    name: ClassVar[str] = "sum of parts"
    exact: ClassVar[bool] = True

    def match(self, graph: Graph, name: str) -> Match | Refusal | None:
        """See `Rule.match`."""
        conv = graph[name]
        if conv.op != "conv" or graph[conv.inputs[0]].op != "concat":
            return None
        reason = is_plain(conv)
        if not reason and graph[conv.inputs[0]].attrs["axis"] not in (-1, 3):
            reason = "its parts are not joined by channels"
        return Refusal(reason) if reason else Match(name, (conv.inputs[0], name))

    def rewrite(self, graph: Graph, match: Match) -> Graph:
        """See `Rule.rewrite`."""
        joined, conv = (graph[name] for name in match.nodes)
        widths = [graph.shapes[name][3] for name in joined.inputs]
        kernels = np.split(conv.weights["kernel"], np.cumsum(widths)[:-1], axis=2)
        parts = list(_parts(conv, joined.inputs, kernels))
        new = [*parts, *add_maps(conv.name, [part.name for part in parts], conv.attrs["activation"] == "relu")]
        return replace_nodes(graph, match.nodes, new)


def _parts(conv: Node, sources: tuple[str, ...], kernels: list[np.ndarray]) -> Iterator[Node]:
    attrs = {**conv.attrs, "activation": "linear"}
    for i, (source, kernel) in enumerate(zip(sources, kernels, strict=True)):
        own = {"bias": bias_of(conv)} if i == 0 else {}
        yield Node(f"{conv.name}_part{i}", "conv", (source,), attrs, {"kernel": np.ascontiguousarray(kernel), **own})


@dataclass(frozen=True)
class JoinSum:
    """Replace two convolutions that are added by one convolution over both their inputs."""

    name: ClassVar[str] = "joined"
    exact: ClassVar[bool] = True

    def match(self, graph: Graph, name: str) -> Match | Refusal | None:
        """See `Rule.match`."""
        added = graph[name]
        if added.op != "add" or any(graph[source].op != "conv" for source in added.inputs):
            return None
        convs, readers = [graph[source] for source in added.inputs], graph.consumers
        if any(readers[conv.name] != (name,) or conv.name in graph.outputs for conv in convs):
            return Refusal("something else reads one of the convolutions")
        if len({conv.name for conv in convs}) < len(convs):
            return Refusal("it adds a convolution to itself")
        if any(conv.attrs["activation"] != "linear" or is_plain(conv) for conv in convs):
            return Refusal(next((r for r in map(is_plain, convs) if r), "one of the convolutions is not linear"))
        if len({conv.weights["kernel"].shape[:2] for conv in convs}) > 1:
            return Refusal("the kernels differ in size")
        if len({graph.shapes[conv.name] for conv in convs}) > 1:
            return Refusal("the maps differ in size")
        return Match(name, (*added.inputs, name))

    def rewrite(self, graph: Graph, match: Match) -> Graph:
        """See `Rule.rewrite`."""
        convs = [graph[name] for name in match.nodes[:-1]]
        joined = Node(f"{match.node}_joined", "concat", tuple(conv.inputs[0] for conv in convs))
        weights = {
            "kernel": np.concatenate([conv.weights["kernel"] for conv in convs], axis=2),
            "bias": np.add.reduce([bias_of(conv) for conv in convs]),
        }
        new = Node(match.node, "conv", (joined.name,), {"padding": "same"}, weights)
        return replace_nodes(graph, match.nodes, [joined, new])
