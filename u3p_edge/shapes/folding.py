"""Fold the finest levels of a UNet 3+ into the channels of a coarser one, by 2 or by 4.

    image ─ stem, fold x fold, stride fold ─ encoders and decoders from that level on ─ head ─ depth-to-space ─ mask

Full resolution with few channels is what integer kernels do worst. The encoder levels above are replaced by the stem. The
decoder levels above go, and in those that stay the branches from the encoder levels that went. The head gives the logits of
fold x fold pixels for each place of the coarse map.
"""

from __future__ import annotations

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node, ancestors, subgraph
from u3p_edge.shapes.branches import keep_branches
from u3p_edge.shapes.head import count_mask_channels, find_side_head, inherit_head, replace_head
from u3p_edge.shapes.levels import Decoder, find_levels
from u3p_edge.shapes.stem import put_stem


def fold_levels(graph: Graph, fold: int, training: Graph) -> Graph:
    """Return the graph that starts and ends `fold` times coarser.

    Args:
        graph: a UNet 3+, whose outputs are the mask and perhaps its gate.
        fold: 2 or 4.
        training: the graph as it was trained. If it has a head at the decoder that gives the mask, its weights are inherited.

    Raises:
        ModelError: the graph is no UNet 3+, has no decoder at the image's size (it may be folded already), has too few
            levels, or cannot start at that level.
    """
    levels = find_levels(graph)
    cut = fold.bit_length() - 1
    (height, width), (rows, columns) = graph.shapes[levels.image][1:3], levels.decoders[0].size
    if (height, width) != (rows, columns):
        raise ModelError(
            f"the network's finest decoder gives a map of {rows}x{columns} pixels, not of the image's {height}x{width}"
        )
    if cut >= len(levels.decoders):
        raise ModelError(f"folding by {fold} leaves no decoder of the network's {len(levels.decoders)}")
    decoders, old = levels.decoders[cut:], graph[levels.head]
    made = put_stem(graph, _encoder_of(decoders[0]), fold)
    for decoder in decoders:
        made = keep_branches(made, decoder, [branch for branch in decoder.branches if branch.size <= decoders[0].size])
    source = decoders[0].map
    weights = inherit_head(
        old, find_side_head(training, source, count_mask_channels(graph, old.name)), graph.shapes[source][3], fold * fold
    )
    pixels = Node(f"head_of_{source}_pixels", "depth_to_space", (source,), {"block": fold})
    made = replace_head(made, old, source, weights, (pixels,))
    made = subgraph(made, made.outputs)
    _check_coarse(made, decoders[0])
    return made


def _encoder_of(decoder: Decoder) -> str:
    encoders = [branch.source for branch in decoder.branches if branch.of_encoder and branch.size == decoder.size]
    if len(encoders) != 1:
        raise ModelError(f"the network cannot start at the level of {decoder.map!r}, which reads no one encoder of its size")
    return encoders[0]


def _check_coarse(graph: Graph, finest: Decoder) -> None:
    """Raise ModelError if the finest decoder's map is still computed from a finer map than its own, besides the image."""
    needed = ancestors(graph, finest.map) - set(graph.inputs)
    finer = [name for name in needed if graph.shapes[name][1:3] > finest.size]
    if finer:
        raise ModelError(f"the network cannot be folded: {min(finer)!r} is needed at a finer level")
