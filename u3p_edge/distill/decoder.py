"""Find the maps of a decoder in a graph, whatever its layers are called. No TensorFlow here."""

from __future__ import annotations

from collections.abc import Mapping

from u3p_edge.graph.ir import Graph, ancestors

_UPSAMPLE = ("upsample", "conv_transpose")
_AFTER = ("batch_norm", "layer_norm", "relu", "activation")


def decoder_maps(graph: Graph) -> Mapping[tuple[int, int], str]:
    """Return the node that gives the decoder's map at each size (height, width), the largest size first.

    A decoder joins or adds maps, of which it has upsampled one, and fuses them by a convolution. Its map is what that
    convolution gives after the normalisation and activation that follow. Where a size has several, the last in the graph's
    order counts. Example: in a UNet 3+ of 64x64 these are `dec1_fuse_relu` at (64, 64) to `dec4_fuse_relu` at (8, 8).

    Raises:
        ModelError: the shapes of the graph cannot be worked out.
    """
    readers = graph.consumers
    maps: dict[tuple[int, int], str] = {}
    for node in graph.nodes:
        if node.op not in ("concat", "add") or not any(graph[name].op in _UPSAMPLE for name in ancestors(graph, node.name)):
            continue
        fused = [name for name in readers[node.name] if graph[name].op == "conv"]
        if len(fused) != 1:
            continue
        name = fused[0]
        while len(readers[name]) == 1 and graph[readers[name][0]].op in _AFTER:
            name = readers[name][0]
        _, height, width, _ = graph.shapes[name]
        maps[height, width] = name
    return dict(sorted(maps.items(), reverse=True))
