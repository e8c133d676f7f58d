"""Trace how channels pass through a graph: compute an index map for every tensor, with one function for each op.

Every new channel, in a model's input or a convolution's output, gets a number. A tensor's index map gives the channel number
at each position of its last axis:

    a, b    convolutions to 2 and 3 channels      [0 1]   [2 3 4]
    c       concatenation of a, b and a           [0 1 2 3 4 0 1]
    d       convolution of c to 7 channels        [5 6 7 8 9 10 11]; its kernel's axis 2 runs along the map of c
    e       sum of c and d                        the map of c, and 0~5 1~6 2~7 3~8 4~9 0~10 1~11 are coupled

Coupled channels are kept or dropped together: here 0, 5 and 10. So three things describe an op: the map that it gives, the axes
of its weights that run along maps, and the channels that it couples. An op that mixes channels in a way that no slice of
weights undoes freezes the channels that it reads, with a reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.activation import function, is_channelwise
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import FUNCTIONS, Shape
from u3p_edge.graph.ops.normalization import group_count
from u3p_edge.graph.ops.op import norm_axes

Index = npt.NDArray[np.intp]
Role = Literal["producer", "consumer"]
_COLUMNS = 2
Passage = Callable[["Trace", Node, Sequence[Index]], Index]
"""Computes the map that an op gives from the op's node and the maps it reads; what else it finds it records in the trace."""


@dataclass(frozen=True, eq=False)
class Run:
    """An axis of a weight that runs along an index map.

    Args:
        node, weight, axis: name of the node, key of its weight, and number of the axis.
        role: "producer" where the slices make the channels, "consumer" where they read them.
        index: the map, [length of the axis].
    """

    node: str
    weight: str
    axis: int
    role: Role
    index: Index


@dataclass
class Trace:
    """What tracing a graph collects. It grows while `trace_channels` runs.

    Args:
        shapes: shapes of the graph's tensors.
        maps: index map of every tensor that was traced so far.
        origins: for every tensor with new numbers, the first of them and the tensor's name.
        count: how many numbers have been given.
        runs: axes of weights that run along maps.
        coupled: pairs of maps that are coupled position by position.
        frozen: maps whose channels must all stay, each with the reason.
    """

    shapes: Mapping[str, Shape]
    maps: dict[str, Index] = field(default_factory=dict)
    origins: list[tuple[int, str]] = field(default_factory=list)
    count: int = 0
    runs: list[Run] = field(default_factory=list)
    coupled: list[tuple[Index, Index]] = field(default_factory=list)
    frozen: list[tuple[Index, str]] = field(default_factory=list)

    def new(self, node: Node) -> Index:
        """Return a map of new numbers for the node's channels."""
        self.origins.append((self.count, node.name))
        self.count += self.shapes[node.name][-1]
        return np.arange(self.origins[-1][0], self.count)

    def freeze(self, index: Index, reason: str) -> Index:
        """Record that all channels of the map must stay, and return it."""
        self.frozen.append((index, reason))
        return index

    def couple(self, indices: Sequence[Index]) -> Index:
        """Couple some maps of one length, and return the first."""
        self.coupled += [(indices[0], other) for other in indices[1:]]
        return indices[0]

    def run(self, node: Node, weight: str, axis: int, role: Role, index: Index) -> None:
        """Record a run, if the node has that weight."""
        if weight in node.weights:
            self.runs.append(Run(node.name, weight, axis, role, index))


def trace_channels(graph: Graph) -> Trace:
    """Return the index maps of a graph, and what else tracing it finds. Raises ModelError as `shapes` does."""
    trace = Trace(graph.shapes)
    for node in graph.nodes:
        trace.maps[node.name] = _passage(node)(trace, node, [trace.maps[name] for name in node.inputs])
    for name in graph.outputs:
        trace.freeze(trace.maps[name], f"{name!r} is an output of the model")
    return trace


def _passage(node: Node) -> Passage:
    if node.op in PASSAGES:
        return PASSAGES[node.op]
    if node.kind.merges:
        return _merge
    return _same if is_channelwise(node) else _unknown


def _input(trace: Trace, node: Node, _maps: Sequence[Index]) -> Index:
    return trace.freeze(trace.new(node), f"{node.name!r} is an input of the model")


def _opaque(trace: Trace, node: Node, maps: Sequence[Index], why: str) -> Index:
    """Freeze all maps that are read, and return a map of new numbers that are frozen too."""
    for index in maps:
        trace.freeze(index, f"{node.name!r} {why}")
    return trace.freeze(trace.new(node), f"{node.name!r} {why}")


def _unknown(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    return _opaque(trace, node, maps, f"({node.op}) is not known to keep channels apart")


def _same(_trace: Trace, _node: Node, maps: Sequence[Index]) -> Index:
    return maps[0]


def _linear(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    """Trace a kernel [..., in, out], which reads one map and makes another."""
    if node.attrs.get("groups", 1) != 1:
        return _opaque(trace, node, maps, "is a grouped convolution")
    last = node.weights["kernel"].ndim - 1
    trace.run(node, "kernel", last - 1, "consumer", maps[0])
    made = trace.new(node)
    trace.run(node, "kernel", last, "producer", made)
    trace.run(node, "bias", 0, "producer", made)
    return _activated(trace, node, made)


def _depthwise(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    """Trace a depthwise kernel [kh, kw, in, multiplier], which gives the channels in * multiplier + m."""
    trace.run(node, "kernel", 2, "producer", maps[0])
    made = np.repeat(maps[0], node.weights["kernel"].shape[3])
    trace.run(node, "bias", 0, "producer", made)
    return _activated(trace, node, made)


def _activated(trace: Trace, node: Node, index: Index) -> Index:
    if not FUNCTIONS[function(node)].channelwise:
        trace.freeze(index, f"{node.name!r} takes a {function(node)} over the channels")
    return index


def _activation(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    return _activated(trace, node, maps[0])


def _softmax(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    if _last(trace, node) in _axes(trace, node):
        trace.freeze(maps[0], f"{node.name!r} takes a softmax over the channels")
    return maps[0]


def _last(trace: Trace, node: Node) -> int:
    return len(trace.shapes[node.name]) - 1


def _axes(trace: Trace, node: Node) -> tuple[int, ...]:
    return norm_axes(node.attrs, len(trace.shapes[node.inputs[0]]))


def _batch_norm(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    axes = _axes(trace, node)
    if axes == (_last(trace, node),):
        for weight in node.weights:
            trace.run(node, weight, 0, "producer", maps[0])
    elif _last(trace, node) in axes:
        trace.freeze(maps[0], f"{node.name!r} normalises every place of a channel by itself")
    return maps[0]


def _layer_norm(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    if _last(trace, node) in _axes(trace, node):
        trace.freeze(maps[0], f"{node.name!r} normalises over the channels")
    return maps[0]


def _group_norm(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    if group_count(node.attrs, len(maps[0])) != len(maps[0]):
        return trace.freeze(maps[0], f"{node.name!r} normalises over groups of channels")
    for weight in node.weights:
        trace.run(node, weight, 0, "producer", maps[0])
    return maps[0]


def _prelu(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    alpha = node.weights["alpha"]
    if alpha.shape[-1] == len(maps[0]):  # not shared by all channels
        trace.run(node, "alpha", alpha.ndim - 1, "producer", maps[0])
    return maps[0]


def _rescale(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    if np.ndim(node.attrs["scale"]) or np.ndim(node.attrs["offset"]):
        trace.freeze(maps[0], f"{node.name!r} scales every channel by another number")
    return maps[0]


def _concat(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    return np.concatenate(maps) if _last(trace, node) in _axes(trace, node) else trace.couple(maps)


def _merge(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    """Trace an op that merges maps channel by channel; a map of one channel may be broadcast over all."""
    whole = [index for index in maps if len(index) == trace.shapes[node.name][-1]]
    for index in maps:
        if len(index) != len(whole[0]):
            trace.freeze(index, f"{node.name!r} spreads it over all channels of another map")
    return trace.couple(whole)


def _view(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    """Trace an op that views pixels as channels, or channels as pixels. The channel runs fastest before and after.

    Element n of the whole tensor has channel n mod C before, in [..., C], and n mod D after, in [..., D]. Where C divides D,
    channel j was channel j mod C. Where D divides C, channel c becomes channel c mod D, so all channels with the same remainder
    are coupled.
    """
    before, after = len(maps[0]), trace.shapes[node.name][-1]
    if after % before == 0:
        return np.tile(maps[0], after // before)
    if before % after == 0:
        return trace.couple(np.split(maps[0], before // after))
    return _opaque(trace, node, maps, f"views {before} channels as {after}, which mixes them")


def _crop(_trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    first, last = node.attrs["channels"] or (0, len(maps[0]))
    return maps[0][first:last]


def _interpolated_sum(trace: Trace, node: Node, maps: Sequence[Index]) -> Index:
    """Trace an interpolated sum. Along the columns, it adds maps that lie side by side in the channels."""
    return trace.couple(np.split(maps[0], node.attrs["taps"])) if node.attrs["axis"] == _COLUMNS else maps[0]


PASSAGES: Mapping[str, Passage] = MappingProxyType(
    {
        "input": _input,
        **dict.fromkeys(("conv", "conv_transpose", "dense"), _linear),
        "depthwise_conv": _depthwise,
        "batch_norm": _batch_norm,
        "layer_norm": _layer_norm,
        "group_norm": _group_norm,
        "activation": _activation,
        "softmax": _softmax,
        "prelu": _prelu,
        "rescale": _rescale,
        "concat": _concat,
        **dict.fromkeys(("reshape", "flatten", "space_to_depth", "depth_to_space"), _view),
        "crop": _crop,
        "interpolated_sum": _interpolated_sum,
    }
)
"""What ops do to channels that are neither channelwise nor a merge, by the op's record: one function each."""
