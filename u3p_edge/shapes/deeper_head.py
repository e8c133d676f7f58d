"""Take the mask from the head of a deeper decoder, as the outputs of deep supervision are: logits, then bilinear upsampling.

The decoders above it go as a whole, and with them every encoder map that only they read.
"""

from __future__ import annotations

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node, subgraph
from u3p_edge.shapes.head import count_mask_channels, find_side_head, inherit_head, replace_head
from u3p_edge.shapes.levels import find_levels


def deepen_head(graph: Graph, head: int, training: Graph) -> Graph:
    """Return the graph whose mask comes from its decoder number `head`, the finest being 1.

    Args:
        graph: a UNet 3+, whose outputs are the mask and perhaps its gate.
        head: see `u3p_edge.shapes.shape.Shape`, above 1.
        training: the graph as it was trained. If it has a head at that decoder, its weights are inherited.

    Raises:
        ModelError: the graph is no UNet 3+, or has fewer decoders.
    """
    levels = find_levels(graph)
    if head > len(levels.decoders):
        raise ModelError(
            f"the mask cannot come from decoder {head}, counted from the finest: the network has {len(levels.decoders)}"
        )
    old, source = graph[levels.head], levels.decoders[head - 1].map
    side = find_side_head(training, source, count_mask_channels(graph, old.name))
    weights = inherit_head(old, side, graph.shapes[source][3])
    factor = 2 ** (head - 1)
    resize = Node(f"head_of_{source}_up", "upsample", (source,), {"size": (factor, factor), "interpolation": "bilinear"})
    made = replace_head(graph, old, source, weights, (resize,))
    return subgraph(made, made.outputs)
