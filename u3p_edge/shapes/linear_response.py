"""The linear response of a part of a network: the one strided convolution that is nearest to what the part computes.

Convolutions and normalisations are linear. A ReLU counts as half of what it reads, which is its best linear fit for values that
are as often below zero as above. A maximum over a window counts as its mean. Any other activation, and a layer normalisation,
counts as nothing.

What is left is a convolution of larger reach. Its taps beyond the block of one output are added to the nearest tap inside, as
if the image went on beyond the block as it is at its border. So the response to a constant image stays the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.activation import function
from u3p_edge.graph.ir import Graph, Node, subgraph
from u3p_edge.graph.ops.op import Array
from u3p_edge.graph.ops.windows import pad_border, patches

BLOCKS = 8
"""Height and width, in blocks, of the image that the response is computed on. Two levels of 3x3 convolutions reach less than 3
blocks to either side. What larger kernels read beyond the image is not counted."""

_CENTRE = BLOCKS // 2
_ACTIVATIONS = frozenset(("activation", "relu", "prelu", "leaky_relu", "elu", "softmax", "layer_norm", "dropout"))


def linear_response(graph: Graph, end: str, stride: int, pooling: Node | None = None) -> Mapping[str, Array]:
    """Return the weights of a convolution of `stride` x `stride` taps and that stride: what a node computes from the image.

    Args:
        graph: with one input, the image.
        end: name of the node; an activation in it is left out.
        stride: how many times smaller its map is than the image, after the pooling.
        pooling: a pooling that follows the node, None for none.

    Returns:
        kernel [stride, stride, in, out] and bias [out], float32.
    """
    nodes = [made for node in subgraph(graph, [end]).nodes for made in _linear(node, end)]
    if pooling is not None:
        nodes.append(replace(pooling, op="average_pool", inputs=(end,)))
    zero, *impulses = _evaluate(nodes, _impulses(stride, graph.shapes[graph.inputs[0]][3]))
    channels = graph.shapes[graph.inputs[0]][3]
    maps = (np.stack(impulses) - zero).reshape(stride, stride, channels, BLOCKS, BLOCKS, -1)
    # Output block i reads the impulse as one of its own pixels, or as one of a block above (i below the centre) or below it.
    kernel = np.zeros((stride, stride, channels, maps.shape[-1]))
    for row, column, i, j in np.ndindex(stride, stride, BLOCKS, BLOCKS):
        kernel[_tap(row, i, stride), _tap(column, j, stride)] += maps[row, column, :, i, j]
    return {"kernel": kernel.astype(np.float32), "bias": zero[_CENTRE, _CENTRE].astype(np.float32)}


def _impulses(stride: int, channels: int) -> npt.NDArray[np.float32]:
    """Return an image of zeros, then one for each pixel and channel of its central block, which alone is 1 there."""
    side, first = BLOCKS * stride, _CENTRE * stride
    images = np.zeros((stride, stride, channels, side, side, channels), np.float32)
    for row, column, channel in np.ndindex(stride, stride, channels):
        images[row, column, channel, first + row, first + column, channel] = 1
    return np.concatenate([np.zeros((1, side, side, channels), np.float32), images.reshape(-1, side, side, channels)])


def _tap(offset: int, block: int, stride: int) -> int:
    """Return the tap inside an output's block that takes the place of a pixel of the central block."""
    return offset if block == _CENTRE else 0 if block > _CENTRE else stride - 1


def _linear(node: Node, end: str) -> Iterator[Node]:
    """Yield linear nodes in place of a node; the last has its name."""
    if node.op == "max_pool":
        yield replace(node, op="average_pool")
    elif node.op in _ACTIVATIONS:
        yield _halve(node.name, node.inputs[0]) if function(node) == "relu" else Node(node.name, "identity", node.inputs[:1])
    elif function(node) == "relu" and node.name != end:
        yield replace(node, name=f"{node.name}/linear", attrs={**node.attrs, "activation": "linear"})
        yield _halve(node.name, f"{node.name}/linear")
    else:
        yield replace(node, attrs={**node.attrs, "activation": "linear"}) if "activation" in node.attrs else node


def _halve(name: str, source: str) -> Node:
    return Node(name, "rescale", (source,), {"scale": 0.5})


def _evaluate(nodes: Sequence[Node], images: npt.NDArray[np.float32]) -> Array:
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
