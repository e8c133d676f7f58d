"""The scale and shift of an image's pixels with which a network begins, so that whoever prepares the images can do it.

    x = scale * pixel + shift = (pixel - mean) / std,  std = 1 / scale,  mean = -shift / scale

Each node at the beginning that alone reads what is before it, and is affine for each channel, takes part: a rescaling, a batch
normalisation, a depthwise 1x1 convolution. This is exact up to rounding. Behind a padded convolution it would not be, because
that reads zeros at the border: there the nodes must stay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.fold import is_channel_scale, scale_and_shift
from u3p_edge.graph.ir import Graph, Node, substitute
from u3p_edge.graph.ops.op import is_over_channels

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ImageScale:
    """What a network does to pixels first.

    Args:
        nodes: names of the nodes that do it, in order.
        scale, shift: of the pixels, float64 [channels] each; every scale is above 0.
        of_pixels: one of the nodes is a rescaling, as networks have that take raw pixels.
    """

    nodes: tuple[str, ...]
    scale: Floats
    shift: Floats
    of_pixels: bool


def find_image_scale(graph: Graph) -> ImageScale | None:
    """Return what a graph of one image does to the image's pixels first; None where it is nothing, or no positive scale."""
    channels = graph[graph.inputs[0]].attrs["shape"][-1] if len(graph.inputs) == 1 else None
    if channels is None:
        return None
    nodes, name = list[str](), graph.inputs[0]
    scale, shift = np.ones(channels), np.zeros(channels)
    while len(readers := graph.consumers[name]) == 1 and readers[0] not in graph.outputs:
        affine = _affine(graph[readers[0]])
        if affine is None:
            break
        scale, shift, name = scale * affine[0], shift * affine[0] + affine[1], readers[0]
        nodes.append(name)
    if not any(not graph[node].kind.is_identity for node in nodes) or not (np.isfinite(scale) & (scale > 0)).all():
        return None
    return ImageScale(tuple(nodes), scale, shift, any(graph[node].op == "rescale" for node in nodes))


def drop_image_scale(graph: Graph, image_scale: ImageScale) -> Graph:
    """Return the graph for images that are scaled already."""
    for name in image_scale.nodes:
        graph = substitute(graph, name, (), result=graph[name].inputs[0])
    return graph


def _affine(node: Node) -> tuple[Floats | float, Floats | float] | None:
    """Return scale and shift of a node that has one for each channel; None for any other node."""
    if node.kind.is_identity:
        return 1.0, 0.0
    if node.op == "rescale":
        return np.asarray(node.attrs["scale"], np.float64), np.asarray(node.attrs["offset"], np.float64)
    if node.op == "batch_norm" and is_over_channels(node.attrs):
        scale, shift = scale_and_shift(node)
        return scale.astype(np.float64), shift.astype(np.float64)
    if not is_channel_scale(node):
        return None
    kernel = node.weights["kernel"]
    return kernel.ravel().astype(np.float64), node.weights.get("bias", np.zeros(kernel.size)).astype(np.float64)
