"""Write layers that runtimes have no kernel for as several that they have one for. This is exact up to float rounding.

    average of n                   sum * 1/n
    sum, product, ... of n         pairs, from left to right
    a x + b (rescaling)            a depthwise 1x1 convolution
    ReLU bounded by m              m/6 * relu6(6/m * x)
    hard sigmoid                   1/6 * relu6(1.2 x + 3)
    ReLU with a slope              leaky ReLU
    PReLU, a slope for a channel   relu(x) + (-a) * relu(-x)
    a layer with the activation f  f(layer), unless f is a ReLU
    separable convolution          a depthwise and a 1x1 convolution
    layer normalisation            (x - mean) * rsqrt(variance + epsilon) * gamma + beta; a mean is a 1x1 convolution
    group normalisation            the same, a mean of pixels and then, for groups of several channels, a 1x1 convolution

In integers every part has a range of its own. What is left as it is has no such form, or needs none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.ir import Graph, Node, substitute
from u3p_edge.graph.ops.normalization import group_count
from u3p_edge.graph.ops.op import is_over_channels

_MAP = 4
"""Rank of a map; a vector has no depthwise convolution."""


@dataclass(frozen=True)
class _Site:
    """A node, the rank and the channels of its map, and a name for each part of it."""

    node: Node
    rank: int
    channels: int
    taken: frozenset[str]

    def name(self, part: str) -> str:
        name = f"{self.node.name}_{part}"
        while name in self.taken:
            name += "_"
        return name

    def scaled(self, name: str, source: str, scale: Any, shift: Any = None, activation: str = "linear") -> Node:
        """Return scale * x + shift, each a number or one for a channel."""
        kernel = np.broadcast_to(np.asarray(scale, np.float32), (1, 1, 1, self.channels)).reshape(1, 1, self.channels, 1)
        weights: dict[str, npt.NDArray[Any]] = {"kernel": np.array(kernel)}
        if shift is not None:
            weights["bias"] = np.array(np.broadcast_to(np.asarray(shift, np.float32).ravel(), (self.channels,)))
        return Node(name, "depthwise_conv", (source,), {"activation": activation}, weights)


Parts = Callable[[_Site], Sequence[Node]]
"""Returns the nodes that compute a node, the last of them with its name; none where the node stays as it is."""


def decompose(graph: Graph) -> Graph:
    """Return the graph with every such layer in parts."""
    for table in (_BEFORE, _FIRST, _THEN):
        whole, taken = graph, frozenset(node.name for node in graph.nodes)
        for node in (node for node in whole.nodes if node.op in table):
            shape = whole.shapes[node.name]
            parts = table[node.op](_Site(graph[node.name], len(shape), shape[-1], taken))
            graph = substitute(graph, node.name, parts) if parts else graph
    return graph


def _pairs(site: _Site) -> Sequence[Node]:
    node = site.node
    op = "add" if node.op == "average" else node.op
    if node.op == "average" and site.rank != _MAP:
        return ()
    chain, left = list[Node](), node.inputs[0]
    for number, right in enumerate(node.inputs[1:], start=1):
        chain.append(replace(node, name=site.name(str(number)), op=op, inputs=(left, right)))
        left = chain[-1].name
    if node.op == "average":
        return *chain, site.scaled(node.name, left, 1 / len(node.inputs))
    return () if len(chain) < 2 else (*chain[:-1], replace(chain[-1], name=node.name))


def _rescale(site: _Site) -> Sequence[Node]:
    attrs = site.node.attrs
    if site.rank != _MAP:
        return ()
    return (site.scaled(site.node.name, site.node.inputs[0], attrs["scale"], attrs["offset"]),)


def _bounded(site: _Site, limit: float, scale: float = 1.0, shift: float | None = None) -> Sequence[Node]:
    """Return min(max(scale * x + shift, 0), limit) of a map."""
    if site.rank != _MAP:
        return ()
    wide = 6 / limit
    return (
        site.scaled(site.name("scaled"), site.node.inputs[0], wide * scale, None if shift is None else wide * shift),
        Node(site.name("bounded"), "relu", (site.name("scaled"),), {"max_value": 6.0}),
        site.scaled(site.node.name, site.name("bounded"), limit / 6),
    )


def _relu(site: _Site) -> Sequence[Node]:
    limit, slope, threshold = (site.node.attrs[key] for key in ("max_value", "negative_slope", "threshold"))
    if threshold == 0 and slope != 0 and limit is None:
        return (Node(site.node.name, "leaky_relu", site.node.inputs, {"alpha": slope}),)
    return _bounded(site, limit) if threshold == slope == 0 and limit not in (None, 0, 6) else ()


def _activation(site: _Site) -> Sequence[Node]:
    function, (source,) = site.node.attrs["function"], site.node.inputs
    if function == "hard_sigmoid":
        return _bounded(site, 1.0, 0.2, 0.5)
    if function == "swish":
        gate = Node(site.name("gate"), "activation", (source,), {"function": "sigmoid"})
        return gate, Node(site.node.name, "multiply", (source, gate.name))
    return ()


def _prelu(site: _Site) -> Sequence[Node]:
    slope, (source,) = site.node.weights["alpha"], site.node.inputs
    if site.rank != _MAP or slope.size != slope.shape[-1]:
        return ()  # a slope for a pixel
    above = Node(site.name("above"), "relu", (source,))
    below = site.scaled(site.name("below"), source, -1.0, activation="relu")
    sloped = site.scaled(site.name("sloped"), below.name, -slope)
    return above, below, sloped, Node(site.node.name, "add", (above.name, sloped.name))


def _split(site: _Site) -> Sequence[Node]:
    node = site.node
    if node.attrs["activation"] in ("linear", "relu"):
        return ()
    linear = replace(node, name=site.name("linear"), attrs={**node.attrs, "activation": "linear"})
    return linear, Node(node.name, "activation", (linear.name,), {"function": node.attrs["activation"]})


def _separable(site: _Site) -> Sequence[Node]:
    return split_separable(site.node, site.name("depthwise"))


def split_separable(node: Node, name: str) -> tuple[Node, Node]:
    """Return a separable convolution as a depthwise convolution of that name, and a 1x1 convolution of its own name."""
    window = {key: node.attrs[key] for key in ("strides", "padding", "dilation")}
    deep = Node(name, "depthwise_conv", node.inputs, window, {"kernel": node.weights["depthwise"]})
    rest = {key: array for key, array in node.weights.items() if key == "bias"}
    flat = {"activation": node.attrs["activation"]}
    return deep, Node(node.name, "conv", (name,), flat, {"kernel": node.weights["pointwise"], **rest})


def _layer_norm(site: _Site) -> Sequence[Node]:
    if site.rank != _MAP or not is_over_channels(site.node.attrs):
        return ()
    kernel = np.full((1, 1, site.channels, 1), 1 / site.channels, np.float32)

    def mean(name: str, source: str, bias: Mapping[str, npt.NDArray[Any]]) -> Sequence[Node]:
        return (Node(name, "conv", (source,), {}, {"kernel": kernel, **bias}),)

    return tuple(_normalize(site, mean))


def _group_norm(site: _Site) -> Sequence[Node]:
    if site.rank != _MAP:
        return ()
    groups = group_count(site.node.attrs, site.channels)
    each = site.channels // groups
    joint = np.kron(np.eye(groups), np.full((each, each), 1 / each)).astype(np.float32)[None, None]

    def mean(name: str, source: str, bias: Mapping[str, npt.NDArray[Any]]) -> Sequence[Node]:
        pool = Node(f"{name}_pool", "global_average_pool", (source,), {"keepdims": True})
        if each == 1 and not bias:
            return (replace(pool, name=name),)
        if each == 1:
            return pool, site.scaled(name, pool.name, 1.0, bias["bias"])
        every = {key: np.broadcast_to(value, (site.channels,)) for key, value in bias.items()}
        return pool, Node(name, "conv", (pool.name,), {}, {"kernel": joint, **every})

    return tuple(_normalize(site, mean))


def _normalize(site: _Site, mean: Callable[[str, str, Mapping[str, npt.NDArray[Any]]], Sequence[Node]]) -> Iterator[Node]:
    """Yield the parts of a normalisation; `mean` gives those of a mean from its name, what it reads, and what is added."""
    node, names = site.node, {part: site.name(part) for part in ("mean", "centred", "square", "variance", "root", "normal")}
    yield from mean(names["mean"], node.inputs[0], {})
    yield Node(names["centred"], "subtract", (node.inputs[0], names["mean"]))
    yield Node(names["square"], "multiply", (names["centred"], names["centred"]))
    yield from mean(names["variance"], names["square"], {"bias": np.array([node.attrs["epsilon"]], np.float32)})
    yield Node(names["root"], "rsqrt", (names["variance"],))
    yield Node(names["normal"], "multiply", (names["centred"], names["root"]))
    yield site.scaled(node.name, names["normal"], node.weights.get("gamma", 1.0), node.weights.get("beta"))


_BEFORE: Mapping[str, Parts] = MappingProxyType({"separable_conv": _separable})
_FIRST: Mapping[str, Parts] = MappingProxyType(dict.fromkeys(("conv", "depthwise_conv", "conv_transpose", "dense"), _split))
_THEN: Mapping[str, Parts] = MappingProxyType(
    {
        **dict.fromkeys(("add", "multiply", "maximum", "minimum", "average"), _pairs),
        "rescale": _rescale,
        "relu": _relu,
        "activation": _activation,
        "prelu": _prelu,
        "layer_norm": _layer_norm,
        "group_norm": _group_norm,
    }
)
