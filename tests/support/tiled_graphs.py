"""Small graphs whose last map is worth computing tile by tile, and what must hold of the tiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

from u3p_edge.graph.ir import Graph, Node, subgraph
from u3p_edge.graph.reference import run
from u3p_edge.rewriting.tiling.transform import TiledGraph, tile_node

CHANNELS = 2


class Maps:
    """Nodes added one after the other; each method gives the name of a map of full height, [height, width, 2].

    Inputs: `image` of full size, `tall` of twice that, `small` of a `scale`-th, `gate` of one pixel.
    """

    def __init__(self, height: int, width: int, scale: int, seed: int) -> None:
        self.height, self.width, self.scale = height, width, scale
        self._rng = np.random.default_rng(seed)
        sizes = {"image": (height, width), "tall": (2 * height, 2 * width), "gate": (1, 1)}
        sizes["small"] = (height // scale, width // scale)
        self.nodes = [Node(name, "input", attrs={"shape": (None, *size, CHANNELS)}) for name, size in sizes.items()]

    def graph(self, *outputs: str) -> Graph:
        """What the given nodes need."""
        inputs = tuple(node.name for node in self.nodes if node.op == "input")
        return subgraph(Graph(tuple(self.nodes), inputs, outputs), outputs)

    def add(self, op: str, *inputs: str, weights: dict[str, Any] | None = None, **attrs: Any) -> str:
        name = f"n{len(self.nodes)}_{op}"
        self.nodes.append(Node(name, op, inputs, attrs, weights or {}))
        return name

    def conv(self, source: str, kernel: tuple[int, int] = (3, 3), channels: int = CHANNELS, **attrs: Any) -> str:
        weights = {"kernel": self._normal(*kernel, channels, CHANNELS), "bias": self._normal(CHANNELS)}
        return self.add("conv", source, weights=weights, **{"padding": "same", "activation": "relu", **attrs})

    def depthwise(self, source: str) -> str:
        return self.add("depthwise_conv", source, weights={"kernel": self._normal(3, 3, CHANNELS, 1)}, padding="same")

    def valid(self, source: str, kernel: int) -> str:
        """Zeros around the map, and a convolution that loses them again."""
        padded = self.add("pad", source, padding=((0, kernel - 1), (0, 0)))
        return self.conv(padded, (kernel, 1), padding="valid")

    def shifted(self, source: str, rows: int, columns: int) -> str:
        """Moved by that many rows and columns, zeros in their place."""
        (up, down), (left, right) = ((max(by, 0), max(-by, 0)) for by in (rows, columns))
        cut = self.add("crop", source, cropping=((up, down), (left, right)))
        return self.add("pad", cut, padding=((down, up), (right, left)))

    def inset(self, source: str, rows: int) -> str:
        """A frame of zeros around what a 1x1 convolution gives."""
        cut = self.add("crop", source, cropping=((rows, 1), (0, 0)))
        return self.add("pad", self.conv(cut, (1, 1)), padding=((rows, 1), (0, 0)))

    def paired(self, source: str, merged: int) -> str:
        """Rows viewed side by side, their halves convolved and shifted against each other, and viewed as rows again."""
        shape = (self.height // merged, merged * self.width, CHANNELS)
        view, half = self.add("reshape", source, target_shape=shape), merged * self.width // 2
        left = self.conv(self.add("crop", view, cropping=((0, 0), (0, half))), (1, 3))
        right = self.shifted(self.add("crop", view, cropping=((0, 0), (half, 0))), 1, 0)
        joined = self.add("concat", self.add("subtract", left, right), left, axis=2)
        return self.add("reshape", joined, target_shape=(self.height, self.width, CHANNELS))

    def blocked(self, source: str, rows: int) -> str:
        """Blocks laid into the channels, their halves shifted against each other and convolved, and laid back."""
        blocks = self.add("space_to_depth", source)
        upper = self.add("crop", blocks, cropping=((rows, 0), (0, 0)), channels=(0, 2 * CHANNELS))
        lower = self.add("crop", blocks, cropping=((0, rows), (0, 0)), channels=(2 * CHANNELS, 4 * CHANNELS))
        halves = self.conv(self.add("subtract", upper, lower), (1, 3), 2 * CHANNELS)
        padded = self.add("pad", halves, padding=((0, rows), (0, 0)))
        pair = self.add("concat", padded, self.add("crop", blocks, cropping=((0, 0), (0, 0)), channels=(3, 3 + CHANNELS)))
        return self.add("depth_to_space", self.add("concat", pair, pair))

    def listed(self, source: str) -> str:
        """Columns viewed as rows of two pixels, and back."""
        shape = (self.height * self.width // 2, 2, CHANNELS)
        view = self.conv(self.add("reshape", source, target_shape=shape), (1, 1))
        return self.add("reshape", view, target_shape=(self.height, self.width, CHANNELS))

    def grown(self, kind: str, by: int) -> str:
        """The small map through a 1x1 convolution, interpolated along rows, shifted, then along columns."""
        tap = self.conv("small", (1, 1), activation="linear")
        tall = self.add("upsample", tap, size=(self.scale, 1), interpolation=kind)
        shifted = self.shifted(tall, by, 0) if by else tall
        return self.add("upsample", shifted, size=(1, self.scale), interpolation=kind)

    def grown_both(self, kind: str) -> str:
        return self.add("upsample", "small", size=(self.scale, self.scale), interpolation=kind)

    def pooled(self, kind: str) -> str:
        return self.add(kind, "tall", pool_size=(2, 2), strides=(2, 2))

    def joined(self, *sources: str) -> str:
        return self.conv(self.add("concat", *sources), channels=CHANNELS * len(sources))

    def beside(self, a: str, b: str) -> str:
        """Two maps side by side, and the middle of that."""
        both = self.add("concat", a, b, axis=2)
        return self.add("crop", both, cropping=((0, 0), (self.width // 2, self.width - self.width // 2)))

    def summed(self, a: str, b: str) -> str:
        return self.add("activation", self.add("add", a, b), function="relu")

    def normed(self, source: str) -> str:
        weights = {"mean": self._normal(CHANNELS), "variance": np.abs(self._normal(CHANNELS)) + 1}
        return self.add("batch_norm", source, weights=weights)

    def _normal(self, *shape: int) -> np.ndarray:
        return self._rng.normal(size=shape).astype(np.float32)


def steps(maps: Maps, draw: Callable[[Any], Any]) -> dict[str, Callable[[str, str], str]]:
    """Every kind of step from two maps of full height to another."""
    kinds = st.sampled_from(("bilinear", "nearest"))
    few = st.integers(-3, 3)
    even = [m for m in (2, 4) if maps.height % m == 0]
    return {
        "conv": lambda a, _: maps.conv(a, draw(st.sampled_from(((1, 1), (3, 3), (5, 3), (1, 3), (3, 1), (2, 2))))),
        "dilated": lambda a, _: maps.conv(a, (3, 3), dilation=(draw(st.integers(1, 3)), 1)),
        "depthwise": lambda a, _: maps.depthwise(a),
        "valid": lambda a, _: maps.valid(a, draw(st.integers(1, 4))),
        "shifted": lambda a, b: maps.summed(maps.shifted(a, draw(few), draw(st.integers(-1, 1))), b),
        "inset": lambda a, b: maps.add("subtract", maps.inset(a, draw(st.integers(0, 3))), b),
        "listed": lambda a, _: maps.listed(a),
        "grown": lambda a, _: maps.add("add", a, maps.grown(draw(kinds), draw(few))),
        "grown both": lambda a, _: maps.joined(a, maps.grown_both(draw(kinds))),
        "pooled": lambda a, _: maps.joined(maps.pooled(draw(st.sampled_from(("max_pool", "average_pool")))), a),
        "joined": lambda a, b: maps.joined(a, b, a),
        "beside": lambda a, b: maps.beside(a, b),
        "gated": lambda a, _: maps.add("multiply", a, "gate"),
        "normed": lambda a, _: maps.add("relu", maps.normed(a)),
        **({"paired": lambda a, _: maps.paired(a, draw(st.sampled_from(even)))} if even else {}),
        **({"blocked": lambda a, _: maps.blocked(a, draw(st.integers(0, 3)))} if even else {}),
    }


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Graphs of three to seven random steps, of one output of 8 to 40 rows."""
    height = draw(st.integers(8, 40))
    scale = draw(st.sampled_from([s for s in (1, 2, 4, 8, 16) if height % s == 0]))
    maps = Maps(height, max(4, scale), scale, draw(st.integers(0, 99)))
    names = [maps.conv("image")]
    kinds = steps(maps, draw)
    for kind in draw(st.lists(st.sampled_from(sorted(kinds)), min_size=2, max_size=6)):
        names.append(kinds[kind](names[-1], draw(st.sampled_from(names))))
    return maps.graph(names[-1])


def level(height: int = 32, width: int = 32, filters: int = 8) -> Graph:
    """The shape of a decoder's last level: a skip connection and two smaller maps, fused, and a mask of one channel."""
    rng = np.random.default_rng(0)

    def conv(name: str, source: str, channels: int, out: int, activation: str = "relu") -> Node:
        weights = {"kernel": rng.normal(size=(3, 3, channels, out)).astype(np.float32), "bias": np.zeros(out, np.float32)}
        return Node(name, "conv", (source,), {"padding": "same", "activation": activation}, weights)

    def up(name: str, source: str, scale: int) -> Node:
        return Node(name, "upsample", (source,), {"size": (scale, scale), "interpolation": "bilinear"})

    sizes = {"skip": 1, "near": 2, "deep": 8}
    inputs = [Node(n, "input", attrs={"shape": (None, height // s, width // s, filters)}) for n, s in sizes.items()]
    nodes = [
        *inputs,
        up("deep_up", "deep", 8),
        conv("deep_branch", "deep_up", filters, filters),
        up("near_up", "near", 2),
        conv("near_branch", "near_up", filters, filters),
        conv("skip_branch", "skip", filters, filters),
        Node("joined", "concat", ("deep_branch", "near_branch", "skip_branch")),
        conv("fused", "joined", 3 * filters, 3 * filters),
        conv("logits", "fused", 3 * filters, 1, "linear"),
        Node("mask", "activation", ("logits",), {"function": "sigmoid"}),
    ]
    return Graph(tuple(nodes), tuple(sizes), ("mask",))


def headed(channels: int = 3) -> Graph:
    """`level` with its head in two steps: a 1x1 convolution to a few channels, and the 3x3 convolution of those."""
    rng = np.random.default_rng(1)
    small = {"kernel": rng.normal(size=(1, 1, 24, channels)).astype(np.float32)}
    last = {"kernel": rng.normal(size=(3, 3, channels, 1)).astype(np.float32)}
    nodes = (
        *level().nodes[:-2],
        Node("small", "conv", ("fused",), {"padding": "same"}, small),
        Node("logits", "conv", ("small",), {"padding": "same"}, last),
        Node("mask", "activation", ("logits",), {"function": "sigmoid"}),
    )
    return Graph(nodes, level().inputs, ("mask",))


def feeds(graph: Graph, batch: int = 2) -> dict[str, np.ndarray]:
    """Random images for every input."""
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(batch, *graph[name].attrs["shape"][1:])).astype(np.float32) for name in graph.inputs}


def tile(graph: Graph, out: str, count: int) -> TiledGraph:
    """The graph with that node computed in so many tiles, which it must allow."""
    tiled = tile_node(graph, out, count)
    assert isinstance(tiled, TiledGraph), tiled
    return tiled


def assert_same_bits(graph: Graph, new: Graph, batch: int = 2) -> None:
    """No tolerance: each value is computed by the same operations on the same operands, in the same order."""
    images = feeds(graph, batch)
    before, after = run(graph, images), run(new, images)
    assert list(before) == list(after)
    for name in before:
        assert before[name].dtype == np.float32
        np.testing.assert_array_equal(after[name], before[name])
