"""Move the mask's head to the map of another decoder, with the weights of a head that was trained there, or of the old one.

A UNet 3+ that is trained with deep supervision has a head at every level. The graph of its training still has them, the graph
for inference does not, so the former is asked for them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from u3p_edge.graph.activation import function
from u3p_edge.graph.ir import Graph, Node, substitute, unused_name
from u3p_edge.graph.ops.op import Array
from u3p_edge.shapes.levels import UPSAMPLINGS

_BEHIND_HEAD = UPSAMPLINGS | {"activation", "softmax", "identity"}


def find_side_head(training: Graph, source: str, classes: int) -> Node | None:
    """Return the convolution of a map to a mask that only training needs, None where there is none.

    Args:
        training: a graph, perhaps with more outputs than the mask.
        source: name of the map.
        classes: channels of the mask.
    """
    heads = [training[name] for name in training.consumers.get(source, ()) if _ends_in_output(training, name)]
    masks = [node for node in heads if node.op == "conv" and node.weights["kernel"].shape[3] == classes]
    return masks[0] if len(masks) == 1 else None


def count_mask_channels(graph: Graph, head: str) -> int:
    """Return the channels of the mask that comes from a head, which may give several pixels at once."""
    readers = graph.consumers[head]
    goes_on = len(readers) == 1 and graph[readers[0]].op in _BEHIND_HEAD | {"depth_to_space"}
    return count_mask_channels(graph, readers[0]) if goes_on else graph.shapes[head][-1]


def inherit_head(old: Node, side: Node | None, channels: int, pixels: int = 1) -> Mapping[str, Array]:
    """Return the weights of a head for a map of `channels` channels.

    They are those of `side`, if it reads as many channels, else those of `old`: of channels that it does not read, zeros. If
    the head gives several pixels at once, all of them get the same weights, so it gives their nearest-neighbour upsampling. A
    kernel that is larger than that of `old` is summed to one tap, which gives the same where the map is constant. So is the
    kernel of a head for several pixels, whose taps would cost more than the fusion before it.

    Args:
        old: the head that is replaced.
        side: a head that was trained on the map, None where there is none.
        channels: of the map.
        pixels: that the new head gives for one that `old` gives.

    Returns:
        kernel [kh, kw, channels, pixels * outputs of `old`] and bias; the pixels of a block are in the order of depth_to_space.
    """
    outputs = old.weights["kernel"].shape[3]
    given = side if side is not None and side.weights["kernel"].shape[2] == channels else old
    kernel = given.weights["kernel"]
    bias = given.weights.get("bias", np.zeros(kernel.shape[3], kernel.dtype))
    times = pixels * outputs // kernel.shape[3]
    if pixels > 1 or kernel.shape[0] > old.weights["kernel"].shape[0]:
        kernel = kernel.sum(axis=(0, 1), keepdims=True)
    missing = max(channels - kernel.shape[2], 0)
    kernel = np.pad(kernel[:, :, :channels], ((0, 0), (0, 0), (0, missing), (0, 0)))
    return {"kernel": np.tile(kernel, times), "bias": np.tile(bias, times)}


def replace_head(graph: Graph, old: Node, source: str, weights: Mapping[str, Array], behind: Sequence[Node]) -> Graph:
    """Return the graph whose mask comes from another map; outputs keep their names.

    Args:
        graph: with the head `old`.
        old: the head that is replaced.
        source: name of the map that the new head reads.
        weights: of the new head.
        behind: nodes without inputs that follow the new head, such as a resize; the old head's activation comes last.
    """
    attrs = {"padding": "same"}
    nodes = [Node(unused_name(graph, f"head_of_{source}"), "conv", (source,), attrs, weights)]
    if function(old) != "linear":
        behind = (*behind, Node(f"{old.name}_activation", "activation", (source,), {"function": function(old)}))
    for node in behind:
        nodes.append(replace(node, name=unused_name(graph, node.name), inputs=(nodes[-1].name,)))
    if old.name in graph.outputs:
        nodes[-1] = replace(nodes[-1], name=old.name)
    return substitute(graph, old.name, nodes)


def _ends_in_output(graph: Graph, name: str) -> bool:
    readers = graph.consumers[name]
    if name in graph.outputs:
        return not readers
    return len(readers) == 1 and graph[readers[0]].op in _BEHIND_HEAD and _ends_in_output(graph, readers[0])
