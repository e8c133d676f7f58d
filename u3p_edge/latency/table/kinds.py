"""The kind of a layer: all that decides its time except how large its map is and how many channels it has.

A table for networks of any size is measured along the pixels of a map and along channels. Its keys are kinds, for example
"conv kernel=3x3" or "upsample interpolation=bilinear". Left out is what does not matter beside the number of pixels that a
layer gives: its padding, what it crops, by how much it enlarges a map. A layer that gives one pixel counts those that it reads.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from u3p_edge.graph.activation import function
from u3p_edge.graph.ir import KERAS, Graph, Node
from u3p_edge.graph.ops import Shape
from u3p_edge.latency.table.layers import KERNELS, TimedLayer, joins_channels, list_timed_nodes, to_words

UNIMPORTANT = frozenset((KERAS, "activation", "padding", "cropping", "channels", "size", "cut", "keepdims", "alpha"))
"""Attributes that do not change the time of a layer that gives so many pixels."""


def list_kinds(graph: Graph) -> tuple[TimedLayer, ...]:
    """List a folded graph's layers by their kinds, in its order. Raises as `layers.list_layers` does."""
    shapes = graph.shapes
    timed = (node for node in list_timed_nodes(graph) if not node.kind.view)
    return tuple(_kind(node, [shapes[name] for name in node.inputs], shapes[node.name]) for node in timed)


def _kind(node: Node, shapes: Sequence[Shape], given: Shape) -> TimedLayer:
    pixels = max(math.prod(given[1:-1]), math.prod(shapes[0][1:-1]) if math.prod(given[1:-1]) == 1 else 1)
    if node.op in KERNELS:
        return TimedLayer(node.name, _words(node, shapes, given), shapes[0][-1], given[-1], pixels)
    return TimedLayer(node.name, _words(node, shapes, given), given[-1], 0, pixels)


def _words(node: Node, shapes: Sequence[Shape], given: Shape) -> str:
    if node.op == "softmax" or (node.op == "activation" and not node.weights):
        return f"activation function={function(node)}"
    if node.op == "concat":
        return "concat" if joins_channels(node, given) else f"concat axis={node.attrs['axis'] % len(given)}"
    words = [node.op, *_operands(node, shapes, given)]
    if node.op == "pad":
        words.append("rows" if any(node.attrs["padding"][0]) else "columns")
    if "kernel" in node.weights and node.op != "dense":
        words.append(f"kernel={to_words(node.weights['kernel'].shape[:2])}")
    if node.op == "depthwise_conv" and node.weights["kernel"].shape[3] > 1:
        words.append(f"multiplier={node.weights['kernel'].shape[3]}")
    usual = node.kind.attrs
    words += [f"{k}={to_words(v)}" for k, v in node.attrs.items() if k not in UNIMPORTANT and v != usual[k]]
    return " ".join(words)


def _operands(node: Node, shapes: Sequence[Shape], given: Shape) -> Sequence[str]:
    """Return for a merge which operands it broadcasts, and how many there are if they are not two."""
    if not node.kind.merges:
        return ()
    one = {"pixel": any(math.prod(s[1:-1]) < math.prod(given[1:-1]) for s in shapes)}
    one["channel"] = any(s[-1] < given[-1] for s in shapes)
    many = [] if len(shapes) == 2 else [f"operands={len(shapes)}"]
    return [f"one {what}" for what, is_one in one.items() if is_one] + many
