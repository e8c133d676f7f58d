"""The same architecture with fewer channels and dummy weights: whole networks to time.

Channels are followed from the kernel that produces them to every layer that reads them. Kernels whose maps are added keep equal
widths. Channels stay unchanged if an output, a grouped convolution or a layer that depends on their number reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import Shape
from u3p_edge.latency.table.layers import KERNELS, joins_channels, make_layer_graph

Width = Callable[[str, int], int]
"""Maps the name of a kernel's node and its output channels to its new output channels, at least 1."""

_KEEPS = frozenset(
    (
        "activation", "relu", "leaky_relu", "elu", "softmax", "max_pool", "average_pool", "global_max_pool",
        "global_average_pool", "upsample", "crop", "pad", "identity", "dropout", "spatial_dropout", "gaussian_dropout",
    )
)  # fmt: skip
"""Ops that turn each input channel into one output channel."""

_MERGES = frozenset(("add", "subtract", "multiply", "maximum", "minimum", "concat"))

Layout = tuple[tuple[str, int], ...]
"""Channels of a map in order: the node that produces them, and how many."""


@dataclass
class _Channels:
    """Which nodes must have equal channels, and which keep theirs; filled while a graph is traversed."""

    layout: dict[str, Layout] = field(default_factory=dict)
    same: dict[str, str] = field(default_factory=dict)
    fixed: set[str] = field(default_factory=set)

    def root(self, name: str) -> str:
        while name in self.same:
            name = self.same[name]
        return name

    def fix(self, layout: Layout) -> None:
        self.fixed.update(name for name, _ in layout)

    def join(self, first: Layout, second: Layout) -> None:
        """Record that two maps must have equal widths throughout; if their parts differ, both keep their widths."""
        if [count for _, count in first] != [count for _, count in second]:
            self.fix(first + second)
            return
        for (one, _), (other, _) in zip(first, second, strict=True):
            if self.root(one) != self.root(other):
                self.same[self.root(other)] = self.root(one)


def narrow_graph(graph: Graph, width: Width) -> Graph:
    """Return the graph with the channels that `width` gives, and float32 dummy weights. Raises ModelError as `shapes` does."""
    found, seen = graph.shapes, _Channels()
    for node in graph.nodes:
        seen.layout[node.name] = _layout(seen, node, found)
    for name in graph.outputs:
        seen.fix(seen.layout[name])
    fixed = {seen.root(name) for name in seen.fixed}
    counts = {name: count for layout in seen.layout.values() for name, count in layout}
    chosen = {name: count if name in fixed else width(name, count) for name, count in counts.items() if seen.root(name) == name}
    wide = {node: sum(chosen[seen.root(name)] for name, _ in layout) for node, layout in seen.layout.items()}
    return replace(graph, nodes=tuple(_resized(node, wide) for node in graph.nodes))


def _layout(seen: _Channels, node: Node, found: Mapping[str, Shape]) -> Layout:
    read = [seen.layout[name] for name in node.inputs]
    own = ((node.name, found[node.name][-1]),)
    if node.op in KERNELS and node.attrs.get("groups", 1) == 1:
        return own
    if joins_channels(node, found[node.name]):
        return tuple(part for layout in read for part in layout)
    keeps = node.op in _KEEPS and node.attrs.get("channels") is None
    if keeps or (node.op == "depthwise_conv" and node.weights["kernel"].shape[3] == 1):
        return read[0]
    if node.op in _MERGES and len({found[name][-1] for name in node.inputs}) == 1:
        for layout in read[1:]:
            seen.join(read[0], layout)
        return read[0]
    for layout in (*read, own):
        seen.fix(layout)
    return own


def _resized(node: Node, wide: Mapping[str, int]) -> Node:
    return (
        replace(node, weights=make_layer_graph(node, wide[node.inputs[0]], wide[node.name]))
        if "kernel" in node.weights
        else node
    )
