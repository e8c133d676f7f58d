"""Find the levels of a UNet 3+ in a graph: its decoders, their branches and the head, whatever its nodes are called.

    source ─ pooling or upsampling ─ convolution ─ normalisation, ReLU ─┐
    source ─ ...                                                        ├ concat ─ convolution ─ normalisation, ReLU ─ map
    source ─ ...                                                        ┘

A decoder joins branches and fuses them by one convolution. Some of the maps that it joins come from deeper levels. A branch's
source is a map of the encoder, or the map of a deeper decoder. The map of the finest decoder goes to the mask's head alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node

UPSAMPLINGS = frozenset(("upsample", "conv_transpose"))
POOLINGS = frozenset(("max_pool", "average_pool"))
AFTER_CONVOLUTION = frozenset(("batch_norm", "layer_norm", "relu", "activation"))
"""Ops between a convolution and the map that it gives."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Branch:
    """One of the maps that a decoder joins.

    Args:
        source: name of the map that it is computed from.
        size: height and width of that map.
        of_encoder: whether that map is the encoder's, not a deeper decoder's.
        result: name of the node that the decoder joins.
        channels: of `result`.
    """

    source: str
    size: Size
    of_encoder: bool
    result: str
    channels: int


@dataclass(frozen=True)
class Decoder:
    """The decoder of one level.

    Args:
        size: height and width of its map.
        branches: in the order in which they are joined.
        join: name of the concatenation.
        fusion: name of the convolution behind it.
        map: name of the node that gives its map.
    """

    size: Size
    branches: tuple[Branch, ...]
    join: str
    fusion: str
    map: str


@dataclass(frozen=True)
class Levels:
    """The levels of a UNet 3+ with one output, the mask.

    Args:
        image: name of the input.
        decoders: the finest first; each has half the height and width of the one before.
        head: name of the convolution that reads the finest decoder's map.
    """

    image: str
    decoders: tuple[Decoder, ...]
    head: str


def find_levels(graph: Graph) -> Levels:
    """Return the levels of a graph whose outputs are the mask and perhaps its gate.

    Raises:
        ModelError: the graph is no UNet 3+; the message says what is missing or different, and names the node.
    """
    if len(graph.inputs) != 1:
        raise _error(f"it has {len(graph.inputs)} inputs")
    decoders: dict[Size, Decoder] = {}
    upsampled: set[str] = set()
    for node in graph.nodes:
        if not upsampled.isdisjoint(node.inputs):
            upsampled.add(node.name)
            if node.op == "concat" and len(graph.shapes[node.name]) == 4:
                decoder = _decoder(graph, node, {each.map for each in decoders.values()}, upsampled)
                if decoder.size in decoders:
                    raise _error(f"{decoders[decoder.size].join!r} and {node.name!r} join maps of one size")
                decoders[decoder.size] = decoder
        elif node.op in UPSAMPLINGS:
            upsampled.add(node.name)
    return Levels(graph.inputs[0], *_ordered(graph, decoders))


def _ordered(graph: Graph, decoders: Mapping[Size, Decoder]) -> tuple[tuple[Decoder, ...], str]:
    """Return the decoders, the finest first, and the head."""
    if not decoders:
        raise _error("no node joins upsampled maps")
    sizes = sorted(decoders, reverse=True)
    for fine, coarse in pairwise(sizes):
        if fine != (2 * coarse[0], 2 * coarse[1]):
            raise _error(f"its decoders of {_words(fine)} and {_words(coarse)} pixels are not one level apart")
    finest = decoders[sizes[0]].map
    heads = graph.consumers[finest]
    if len(heads) != 1 or not _is_plain(graph[heads[0]]):
        raise _error(f"the mask is not computed by one convolution of {finest!r}, the finest decoder's map")
    return tuple(decoders[size] for size in sizes), heads[0]


def _decoder(graph: Graph, join: Node, maps: set[str], upsampled: set[str]) -> Decoder:
    readers = graph.consumers[join.name]
    if join.attrs["axis"] not in (-1, 3) or len(set(join.inputs)) != len(join.inputs):
        raise _error(f"{join.name!r} does not join different maps along their channels")
    if len(readers) != 1 or not _is_plain(graph[readers[0]]):
        raise _error(f"the maps that {join.name!r} joins are not fused by one convolution")
    branches = tuple(_branch(graph, name, maps, upsampled) for name in join.inputs)
    return Decoder(_size(graph, join.name), branches, join.name, readers[0], _map_behind(graph, readers[0]))


def _branch(graph: Graph, result: str, maps: set[str], upsampled: set[str]) -> Branch:
    name = result
    while graph[name].op in AFTER_CONVOLUTION and len(graph.consumers[name]) == 1:
        name = graph[name].inputs[0]
    if graph[name].op != "conv" or len(graph.consumers[name]) != 1:
        raise _error(f"{result!r} is joined without a convolution of its own")
    source = graph[name].inputs[0]
    while graph[source].op in UPSAMPLINGS | POOLINGS or graph[source].kind.is_identity:
        source = graph[source].inputs[0]
    if source in upsampled and source not in maps:
        raise _error(f"{source!r}, which {name!r} reads, is the map of neither an encoder nor a decoder")
    return Branch(source, _size(graph, source), source not in maps, result, graph.shapes[result][3])


def _map_behind(graph: Graph, name: str) -> str:
    """Return the last of the normalisations and activations behind a convolution."""
    readers = graph.consumers[name]
    follows = len(readers) == 1 and graph[readers[0]].op in AFTER_CONVOLUTION
    return _map_behind(graph, readers[0]) if follows else name


def _is_plain(node: Node) -> bool:
    return node.op == "conv" and node.attrs["groups"] == 1 and tuple(node.attrs["strides"]) == (1, 1)


def _size(graph: Graph, name: str) -> Size:
    _, height, width, _ = graph.shapes[name]
    return height, width


def _words(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _error(reason: str) -> ModelError:
    return ModelError(
        f"the network is no UNet 3+ whose levels are recognised: {reason}",
        mend="Its shape can only stay as it is; its channels can be pruned.",
    )
