"""The layers that a table for networks of any size is measured from: each kind at some sizes of its map and some channels.

The kinds are those of a UNet 3+ and of the exact forms that rewriting tries, and what a segmentation network of Keras has
besides. To time another kind too, add a sample of it here; until then a network that has such a layer is measured as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from u3p_edge.graph.cost import cost
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.table.kinds import list_kinds
from u3p_edge.latency.table.layers import TimedLayer

SIDES = (4, 16, 64, 256)
"""Height and width of the maps that layers give."""

MOST_MACS, MOST_VALUES = 7e8, 9e6
"""A layer with more multiply-accumulates or values is not timed: what it takes follows from smaller maps."""

Channels = Sequence[int]
Reads = Callable[[int, int], Sequence[tuple[int, int, int]]]
"""From the side of the map that a layer gives, and the channels that it is measured at, to the maps that it reads."""


@dataclass(frozen=True)
class KindSample:
    """How to make a layer of one kind.

    Args:
        op: of the layer.
        attrs: of the layer.
        kernel: height and width, nothing for a dense layer; None for an op without a kernel.
        reads: see `Reads`.
        inputs: the channels to time it at; those of its output where it has one axis.
        outputs: output channels to time it at; 0 for a layer with one axis.
        sides: of its map.
    """

    op: str
    attrs: Mapping[str, Any] = field(default_factory=dict)
    kernel: tuple[int, ...] | None = None
    reads: Reads = lambda side, channels: [(side, side, channels)]
    inputs: Channels = (8, 64, 512)
    outputs: Channels = (0,)
    sides: Sequence[int] = SIDES

    def build(self, side: int, inputs: int, outputs: int) -> Graph:
        """Return a network of this layer alone, with dummy weights, that gives a square map."""
        shapes = [(1, *shape) if self.op != "dense" else (1, shape[2]) for shape in self.reads(side, inputs)]
        names = tuple(f"x{index}" for index in range(len(shapes)))
        given = [Node(name, "input", (), {"shape": shape}) for name, shape in zip(names, shapes, strict=True)]
        weights = {} if self.kernel is None else _weights(self.kernel, inputs, outputs)
        return Graph((*given, Node("y", self.op, names, self.attrs, weights)), names, ("y",))


@dataclass(frozen=True)
class KindPoint:
    """One time to measure: a layer, as the table describes it, and the network to time."""

    layer: TimedLayer
    graph: Graph

    def build(self) -> Graph:
        """Return the network."""
        return self.graph


def list_kind_points() -> Iterator[KindPoint]:
    """Yield all that a table for networks of any size is measured from, kind by kind."""
    for sample in SAMPLES:
        for side in sample.sides:
            for inputs in sample.inputs:
                for outputs in sample.outputs:
                    graph = sample.build(side, inputs, outputs)
                    (layer,) = list_kinds(graph)
                    if side == sample.sides[0] or _is_small(graph):
                        yield KindPoint(layer, graph)


def _is_small(graph: Graph) -> bool:
    values = max(math.prod(shape) for shape in graph.shapes.values())
    return cost(graph).total_macs <= MOST_MACS and values <= MOST_VALUES


def _weights(kernel: tuple[int, ...], inputs: int, outputs: int) -> Mapping[str, npt.NDArray[np.float32]]:
    """Return dummy weights; values do not change the time, unless they are denormal."""
    return {"kernel": np.full((*kernel, inputs, outputs), 0.01, np.float32)}


def _larger(rows: int, columns: int = 0) -> Reads:
    """Return what a layer reads that makes a map so many times smaller."""
    return lambda side, channels: [(side * rows, side * (columns or rows), channels)]


def _smaller(rows: int, columns: int = 0) -> Reads:
    """Return what a layer reads that enlarges a map so many times."""
    return lambda side, channels: [(side // rows, side // (columns or rows), channels)]


def _of_sum(axis: int, factor: int) -> Reads:
    """Return what a fused interpolated sum of three maps reads, see `graph.ops.interpolation`."""
    if axis == 1:
        return lambda side, channels: [(side // factor, 3 * side, channels)]
    return lambda side, channels: [(side, side // factor, 3 * channels)]


def _two(side: int, channels: int) -> Sequence[tuple[int, int, int]]:
    return [(side, side, channels)] * 2


_SAME = {"padding": "same"}
_WIDE, _FEW = (1, 8, 16, 32, 128, 512), (8, 16, 32, 128, 512)
_SOME, _NARROW = (8, 64, 256), (8, 32, 128, 512)
_IMAGE, _STEM = (1, 3, 8, 64, 256), (8, 16, 64, 256)
_HALF = {"strides": (2, 2), "padding": "same"}
_CLASSES = (1, 4, 32)
_MAPS = (1, 4, 8, 64, 512)

SAMPLES: tuple[KindSample, ...] = (
    KindSample("conv", _SAME, (3, 3), inputs=_WIDE, outputs=_FEW),
    KindSample("conv", _SAME, (1, 1), inputs=_WIDE, outputs=_FEW),
    KindSample("conv", _SAME, (1, 3), inputs=_NARROW, outputs=_NARROW),
    KindSample("conv", _SAME, (1, 2), inputs=_SOME, outputs=_SOME),
    KindSample("conv", _SAME, (5, 5), inputs=(1, *_SOME), outputs=_SOME),
    KindSample("conv", _HALF, (3, 3), _larger(2), (1, *_SOME), _SOME),
    KindSample("conv", _HALF, (2, 2), _larger(2), _IMAGE, _STEM),
    KindSample("conv", {**_HALF, "strides": (4, 4)}, (4, 4), _larger(4), _IMAGE[:3], _STEM),
    KindSample("conv_transpose", _HALF, (2, 2), _smaller(2), _SOME, _SOME),
    KindSample("depthwise_conv", _SAME, (3, 3), outputs=(1,)),
    KindSample("dense", {}, (), inputs=(8, 64, 512), outputs=(8, 64, 512), sides=(1,)),
    KindSample("max_pool", {}, None, _larger(2)),
    *(KindSample("max_pool", {"pool_size": (n, n), "strides": (n, n)}, None, _larger(n), sides=SIDES[:3]) for n in (4, 8)),
    KindSample("average_pool", {}, None, _larger(2)),
    *(KindSample(f"global_{which}_pool", {"keepdims": True}) for which in ("max", "average")),
    KindSample("upsample", {"interpolation": "bilinear"}, None, _smaller(2), _MAPS),
    KindSample("upsample", {}, None, _smaller(2)),
    *(
        KindSample("interpolated_sum", {"axis": axis, "factor": n}, None, _of_sum(axis, n), sides=SIDES[1:])
        for axis in (1, 2)
        for n in (2, 4, 8)
    ),
    KindSample("concat", {}, None, lambda side, c: [(side, side, c // 2)] * 2),
    *(KindSample("concat", {"axis": a}, None, _smaller(3 - a, a)) for a in (1, 2)),
    *(KindSample(op, {}, None, _two) for op in ("add", "subtract", "multiply")),
    KindSample("multiply", {}, None, lambda side, c: [(side, side, c), (side, side, 1)]),
    KindSample("multiply", {}, None, lambda side, c: [(side, side, c), (1, 1, c)]),
    KindSample("multiply", {}, None, lambda side, c: [(side, side, c), (1, 1, 1)]),
    KindSample("crop", {"cropping": ((0, 0), (0, 1))}, None, lambda side, c: [(side, side + 1, c)]),
    KindSample("pad", {"padding": ((1, 1), (0, 0))}, None, lambda side, c: [(side - 2, side, c)]),
    KindSample("pad", {"padding": ((0, 0), (1, 1))}, None, lambda side, c: [(side, side - 2, c)]),
    KindSample("space_to_depth", {}, None, lambda side, c: [(2 * side, 2 * side, c // 4)]),
    KindSample("depth_to_space", {}, None, lambda side, c: [(side // 2, side // 2, c * 4)], _MAPS),
    KindSample("depth_to_space", {"block": 4}, None, lambda side, c: [(side // 4, side // 4, c * 16)], _MAPS),
    *(KindSample("activation", {"function": f}, None, inputs=_CLASSES) for f in ("sigmoid", "softmax", "relu", "tanh")),
    KindSample("leaky_relu"),
)
