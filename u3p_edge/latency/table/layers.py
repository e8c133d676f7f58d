"""The key of a layer, which is all that decides its time except its channels; and a layer alone, with any channels, to time.

A layer is a node together with the ReLU that TFLite fuses into it. The ReLU does not change the time, as XNNPACK clamps in any
case. The key is a text: op, height and width of the input, kernel, and attributes other than the op's defaults, for example
"conv 64x64 kernel=3x3 padding=same". Channels are the axes that a table is measured along: input and output channels for an op
with a kernel between them, else one axis, the channels of all that is read. Nodes that compute nothing (inputs, identities,
fused ReLUs) are not layers.

Any other op that only moves data has the key "moves". Its axis is half the number of elements that it
reads and writes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.conversion.tflite.lower import lowering_of
from u3p_edge.conversion.tflite.pieces import make_context
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import KERAS, Graph, Node
from u3p_edge.graph.ops import Shape

MOVES = "moves"
MOVED = 1024
"""Elements of the smallest "moves" layer that is timed: a row of 32x32."""

KERNELS = frozenset(("conv", "conv_transpose", "dense"))
"""Ops with two axes: input channels and output channels."""


@dataclass(frozen=True)
class TimedLayer:
    """A node that takes time.

    Args:
        node: name of the node.
        key: see the module's docstring.
        inputs: input channels: the sum over the operands of a concatenation, those of each operand of a merge; or the elements
            of a "moves" layer.
        outputs: output channels of an op with a kernel; 0 for a layer with one axis.
        pixels: of the map, where the key is a kind (`u3p_edge.latency.table.kinds`); 0 where the key holds its size.
    """

    node: str
    key: str
    inputs: int
    outputs: int = 0
    pixels: int = 0


def list_layers(graph: Graph) -> tuple[TimedLayer, ...]:
    """List a folded graph's layers, in its order. Raises ModelError for a node without TFLite form, or as `shapes` does."""
    return tuple(_layer(graph.shapes, node) for node in list_timed_nodes(graph))


def list_timed_nodes(graph: Graph) -> tuple[Node, ...]:
    """List the nodes of a folded graph that take time, in its order. Raises as `list_layers` does."""
    lowered = make_context(graph, None)
    free = {*lowered.alias, *lowered.fused.values()}
    timed = tuple(node for node in graph.nodes if node.op != "input" and node.name not in free)
    strange = next((node for node in timed if lowering_of(node) is None), None)
    if strange is not None:
        mend = "Fold the graph first." if strange.op == "batch_norm" else ""
        raise ModelError(f"the node {strange.name!r} ({strange.op}) has no TFLite form that could be timed", mend=mend)
    return timed


def isolate_layer(graph: Graph, layer: TimedLayer, inputs: int, outputs: int) -> Graph:
    """Return one layer of a graph as a separate network, with other channels and dummy weights.

    Args:
        graph: the graph that contains the layer.
        layer: one of `list_layers(graph)`.
        inputs, outputs: as in `TimedLayer`; rounded up to what the layer's groups or operands allow.
    """
    if layer.key == MOVES:
        return _copy(inputs)
    node = graph[layer.node]
    shapes = [graph.shapes[name] for name in node.inputs]
    wide = _channels(node, shapes, inputs)
    names = tuple(f"x{index}" for index in range(len(shapes)))
    given = [Node(name, "input", (), {"shape": (1, *s[1:-1], c)}) for name, s, c in zip(names, shapes, wide, strict=True)]
    made = replace(node, name="y", inputs=names, weights=make_dummy_weights(node, wide[0], outputs))
    return Graph((*given, made), names, ("y",))


def make_dummy_weights(node: Node, inputs: int, outputs: int) -> Mapping[str, npt.NDArray[np.float32]]:
    """Return dummy weights for a node with other channel counts; values do not change the time, unless they are denormal."""
    if "kernel" not in node.weights:
        return node.weights
    *size, _, last = node.weights["kernel"].shape
    groups = node.attrs.get("groups", 1)
    ends = (inputs, last) if node.op == "depthwise_conv" else (inputs // groups, -(-outputs // groups) * groups)
    given = ends[0] * ends[1] if node.op == "depthwise_conv" else ends[1]
    made = {"kernel": np.full((*size, *ends), 0.01, np.float32)}
    return made | ({"bias": np.zeros(given, np.float32)} if "bias" in node.weights else {})


def joins_channels(node: Node, shape: Shape) -> bool:
    """Return whether a node of that shape is a concatenation along channels."""
    return node.op == "concat" and node.attrs["axis"] % len(shape) == len(shape) - 1


def to_words(value: Any) -> str:
    """Return the value of an attribute as it stands in a key, e.g. "3x3"."""
    if not isinstance(value, tuple):
        return str(value)
    return ("," if value and isinstance(value[0], tuple) else "x").join(map(to_words, value))


def _layer(all_shapes: Mapping[str, Shape], node: Node) -> TimedLayer:
    shapes, given = [all_shapes[name] for name in node.inputs], all_shapes[node.name]
    if node.op in KERNELS:
        return TimedLayer(node.name, _key(node, shapes, given), shapes[0][-1], given[-1])
    if node.kind.merges:
        return TimedLayer(node.name, _key(node, shapes, given), given[-1])
    if _has_one_axis(node):
        joined = sum(shape[-1] for shape in shapes) if joins_channels(node, given) else shapes[0][-1]
        return TimedLayer(node.name, _key(node, shapes, given), joined)
    return TimedLayer(node.name, MOVES, (sum(map(math.prod, shapes)) + math.prod(given)) // 2)


def _has_one_axis(node: Node) -> bool:
    """Return whether a node has one axis, and attributes that do not refer to channels."""
    if node.op == "crop":
        return node.attrs["channels"] is None
    computes = node.kind.channelwise and not node.kind.is_identity
    return computes or node.op in ("softmax", "depthwise_conv", "concat")


def _key(node: Node, shapes: Sequence[Shape], given: Shape) -> str:
    # The number of maps that a concatenation joins hardly matters next to their total size, and pruning may remove one.
    sizes = shapes[:1] if joins_channels(node, given) else shapes
    words = [node.op, _sizes(sizes, given, node.kind.merges)]
    if "kernel" in node.weights and node.op != "dense":
        words.append(f"kernel={to_words(node.weights['kernel'].shape[:2])}")
    if node.op == "depthwise_conv":
        words.append(f"multiplier={node.weights['kernel'].shape[3]}")
    usual = node.kind.attrs
    for name, value in node.attrs.items():
        clamps = name == "activation" and value in ("linear", "relu")
        axis = name == "axis" and value % len(given) == len(given) - 1
        if name != KERAS and value != usual[name] and not clamps and not axis:
            words.append(f"{name}={to_words(value)}")
    return " ".join(words)


def _sizes(shapes: Sequence[Shape], given: Shape, merged: bool) -> str:
    """Return height and width of each operand, "*1" if its one channel is broadcast; once with a count if all are alike."""
    each = ["x".join(map(str, s[1:-1])) + ("*1" if merged and s[-1] == 1 != given[-1] else "") or "flat" for s in shapes]
    if len(each) > 1 and len(set(each)) == 1:
        return f"{each[0]} operands={len(each)}"
    return ",".join(each)


def _channels(node: Node, shapes: Sequence[Shape], inputs: int) -> list[int]:
    """Return the channels of each operand of a node that is timed alone."""
    if joins_channels(node, shapes[0]):
        whole = max(inputs, len(shapes))
        return [whole * (i + 1) // len(shapes) - whole * i // len(shapes) for i in range(len(shapes))]
    if node.kind.merges:
        return [1 if shape[-1] == 1 != max(s[-1] for s in shapes) else inputs for shape in shapes]
    groups = node.attrs.get("groups", 1)
    return [-(-inputs // groups) * groups] * len(shapes)


def _copy(elements: int) -> Graph:
    """Return a concatenation of two halves with at least that many elements: it costs what moving the data costs."""
    shape = (1, -(-elements // MOVED), 32, 16)
    nodes = (
        Node("a", "input", (), {"shape": shape}),
        Node("b", "input", (), {"shape": shape}),
        Node("y", "concat", ("a", "b")),
    )
    return Graph(nodes, ("a", "b"), ("y",))
