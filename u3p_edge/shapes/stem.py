"""The strided convolution that the encoder of a folded network begins with, and the kernel it inherits from what it replaces.

A fold x fold convolution of stride fold is a space-to-depth followed by a 1x1 convolution, in one operator. It stands for the
encoder levels that are cut off. Their linear response is inherited: what they compute if every activation gives back its
input, every layer normalisation too, and every maximum over a window is its mean. That is one convolution of larger reach. Its
taps beyond the block of fold x fold pixels are added to the nearest tap inside, as if the image went on beyond the block as it
is at its border. So the response to a constant image stays the same. It is a start for training, not an approximation of what
the levels computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node, ancestors, subgraph, substitute, unused_name
from u3p_edge.graph.ops.op import Array
from u3p_edge.graph.ops.windows import pad_border, patches
from u3p_edge.shapes.levels import AFTER_CONVOLUTION, POOLINGS

BLOCKS = 8
"""Height and width, in blocks, of the image that the linear response is computed on. Two levels of 3x3 convolutions reach less
than 3 blocks to either side. What larger kernels read beyond the image is not counted."""

_CENTRE = BLOCKS // 2
_IDENTITIES = frozenset(("activation", "relu", "prelu", "leaky_relu", "elu", "softmax", "layer_norm", "dropout"))


def put_stem(graph: Graph, encoder: str, fold: int) -> Graph:
    """Return the graph in which one convolution of stride `fold` gives what the level of `encoder` starts from.

    The normalisation and the activation before the pooling that is replaced follow the stem. Nodes that nothing reads any more
    stay.

    Args:
        graph: with one input, the image.
        encoder: name of the encoder's map at the level that stays, whose height and width are those of the image / fold.
        fold: 2 or 4.

    Raises:
        ModelError: the level is not entered by one pooling or convolution.
    """
    entry = _find_entry(graph, encoder)
    end, tail = graph[entry.name], tuple[Node, ...]()
    if entry.op in POOLINGS:
        end, tail = _split_tail(graph, entry.inputs[0])
    attrs = {"strides": (fold, fold), "padding": "same", "activation": end.attrs.get("activation", "linear")}
    weights = _linear_response(graph, end.name, entry, fold)
    nodes = [Node(unused_name(graph, "stem_conv"), "conv", graph.inputs, attrs, weights)]
    for node in tail:
        nodes.append(replace(node, name=unused_name(graph, f"stem_{node.name}"), inputs=(nodes[-1].name,)))
    return substitute(graph, entry.name, nodes)


def _find_entry(graph: Graph, encoder: str) -> Node:
    """Return the node that brings finer maps to the size of an encoder's level."""
    shapes = graph.shapes
    size, before = shapes[encoder][1:3], ancestors(graph, encoder)
    entries = [
        node
        for node in graph.nodes
        if node.name in before and shapes[node.name][1:3] == size and any(shapes[name][1:3] != size for name in node.inputs)
    ]
    if len(entries) != 1 or entries[0].op not in (*POOLINGS, "conv"):
        raise ModelError(
            f"the network cannot start at the level of {encoder!r}: it is not entered by one pooling or convolution",
            mend="Take a shape that is not folded.",
        )
    return entries[0]


def _split_tail(graph: Graph, name: str) -> tuple[Node, tuple[Node, ...]]:
    """Return the node behind which only normalisations and activations follow up to the given one, and these."""
    node = graph[name]
    if node.op not in AFTER_CONVOLUTION:
        return node, ()
    end, tail = _split_tail(graph, node.inputs[0])
    return end, (*tail, node)


def _linear_response(graph: Graph, end: str, entry: Node, fold: int) -> Mapping[str, Array]:
    """Return the response of the node `end`, averaged over windows if `entry` pools.

    That is kernel [fold, fold, in, out] and bias [out], float32.
    """
    nodes = [_linear(node) for node in subgraph(graph, [end]).nodes]
    if entry.op in POOLINGS:
        nodes.append(_linear(replace(entry, inputs=(end,))))
    channels = graph.shapes[graph.inputs[0]][3]
    side = BLOCKS * fold
    first = _CENTRE * fold
    images = np.zeros((fold, fold, channels, side, side, channels), np.float32)
    for row, column, channel in np.ndindex(fold, fold, channels):
        images[row, column, channel, first + row, first + column, channel] = 1
    flat = np.concatenate([np.zeros((1, side, side, channels), np.float32), images.reshape(-1, side, side, channels)])
    zero, *impulses = _evaluate(nodes, flat)
    maps = (np.stack(impulses) - zero).reshape(fold, fold, channels, BLOCKS, BLOCKS, -1)
    # Output block i reads the impulse as one of its own pixels, or as one of a block above (i below the centre) or below it.
    kernel = np.zeros((fold, fold, channels, maps.shape[-1]))
    for row, column, i, j in np.ndindex(fold, fold, BLOCKS, BLOCKS):
        kernel[_tap(row, i, fold), _tap(column, j, fold)] += maps[row, column, :, i, j]
    return {"kernel": kernel.astype(np.float32), "bias": zero[_CENTRE, _CENTRE].astype(np.float32)}


def _tap(offset: int, block: int, fold: int) -> int:
    """Return the tap inside an output's block that stands for a pixel of the central block."""
    return offset if block == _CENTRE else 0 if block > _CENTRE else fold - 1


def _linear(node: Node) -> Node:
    if node.op in _IDENTITIES:
        return Node(node.name, "identity", node.inputs[:1])
    if node.op == "max_pool":
        return replace(node, op="average_pool")
    return replace(node, attrs={**node.attrs, "activation": "linear"}) if "activation" in node.attrs else node


def _evaluate(nodes: list[Node], images: npt.NDArray[np.float32]) -> Array:
    """Return the last node's map of some images: as the reference does, but with matrix products, which are much faster."""
    values: dict[str, Array] = {}
    for node in nodes:
        given = [values[name] for name in node.inputs]
        if node.op == "input":
            values[node.name] = images
        elif node.op == "conv" and node.attrs["groups"] == 1:
            values[node.name] = _convolve(node, given[0])
        else:
            values[node.name] = node.kind.compute(node.attrs, node.weights, given)
    return values[nodes[-1].name]


def _convolve(conv: Node, x: Array) -> Array:
    kernel = conv.weights["kernel"]
    size = kernel.shape[:2]
    total = sum(patch @ kernel[a, b] for (a, b), patch in patches(conv.attrs, pad_border(conv.attrs, x, size, 0), size))
    return np.asarray(total + conv.weights.get("bias", np.float32(0)))
