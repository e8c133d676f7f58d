"""Predict the milliseconds of a network from a latency table, without running it.

A convolution's time is linear in its input channels and in its output channels, each rounded up to the kernels' steps, and has
a term for their product. So it is interpolated bilinearly between the measured counts. Before that, every measured time is
raised to that of any smaller layer with the same key, so a wider layer is never predicted to be faster. Below the least
measured count the time of that count is used, which is too much rather than too little. There is no prediction for a layer that
the table lacks, or for one that is wider than any that was measured.

A table for networks of any size is interpolated between sizes of the map too, since the time is close to linear in its pixels.
A layer that is larger or wider than any that was measured takes as much longer as it is larger or wider. So does one that was
too large to be timed.
"""

from __future__ import annotations

import math
import operator
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, product
from types import MappingProxyType

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.table.kinds import list_kinds
from u3p_edge.latency.table.layers import KERNELS, TimedLayer, list_layers
from u3p_edge.latency.table.table import LatencyTable, LayerTimes, Steps

_Place = tuple[int, int, int]
"""Pixels of the map (0 in a table for one network), input and output channels."""

_MEND = "Fill a table with this network on the device: u3p-edge device profile MODEL --out table.json"


@dataclass(frozen=True)
class Prediction:
    """The predicted time of one network.

    Args:
        total_ms: milliseconds of one run.
        nodes: milliseconds of each node by name; nodes that take no time are missing.
    """

    total_ms: float
    nodes: Mapping[str, float]


@dataclass(frozen=True)
class _Grid:
    """Milliseconds over pixels and the channel axes; a place that was not measured is missing."""

    pixels: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    ms: Mapping[_Place, float]


@dataclass(frozen=True)
class Predictor:
    """Predicts from one table. Times of layers are cached inside, which callers do not notice.

    A prediction for a network of 60 nodes takes about a millisecond.
    """

    table: LatencyTable
    _grids: Mapping[str, _Grid] = field(init=False, repr=False, compare=False)
    _known: dict[tuple[str, int, int, int], float] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        by_key: dict[str, list[LayerTimes]] = {}
        for times in self.table.layers:
            by_key.setdefault(times.key, []).append(times)
        grids = {key: _grid(alike) for key, alike in by_key.items()}
        object.__setattr__(self, "_grids", MappingProxyType(grids))

    def predict(self, graph: Graph) -> Prediction:
        """Predict the milliseconds of a folded graph, whatever its weights.

        Raises:
            ModelError: the table lacks a layer or it is wider than measured (it is named); a node has no TFLite form.
        """
        nodes = {layer.node: self.layer_ms(layer) for layer in self.list_layers(graph)}
        return Prediction(sum(nodes.values()), MappingProxyType(nodes))

    def list_layers(self, graph: Graph) -> tuple[TimedLayer, ...]:
        """List the layers of a folded graph as the table knows them. Raises ModelError for a node without TFLite form."""
        return list_kinds(graph) if self.table.any_size else list_layers(graph)

    def layer_ms(self, layer: TimedLayer) -> float:
        """Predict the milliseconds of one layer within a whole network, never below 0. Raises ModelError as `predict` does."""
        correction = self.table.correction
        return max(correction.factor * self.alone_ms(layer) + correction.each_ms, 0.0)

    def alone_ms(self, layer: TimedLayer) -> float:
        """Predict the milliseconds of one layer timed alone. Raises ModelError as `predict` does."""
        asked = layer.key, layer.pixels, layer.inputs, layer.outputs
        if asked not in self._known:
            self._known[asked] = self._look_up(layer)
        return self._known[asked]

    def missing(self, graph: Graph) -> tuple[TimedLayer, ...]:
        """Return the layers of a graph that the table cannot predict. Raises ModelError for a node without TFLite form."""
        return tuple(layer for layer in self.list_layers(graph) if self._interpolate(layer) is None)

    def _look_up(self, layer: TimedLayer) -> float:
        ms = self._interpolate(layer)
        if ms is not None:
            return ms
        channels = f"{layer.inputs} to {layer.outputs} channels" if layer.outputs else f"{layer.inputs} channels"
        kind = "of this kind" if self.table.any_size else "of this kind and size"
        lacks = "of so many channels" if layer.key in self._grids else kind
        raise ModelError(f"the latency table has no layer {lacks}: {layer.node!r}, {layer.key}, {channels}", mend=_MEND)

    def _interpolate(self, layer: TimedLayer) -> float | None:
        grid = self._grids.get(layer.key)
        return None if grid is None else _interpolate(grid, layer.pixels, *round_to_step(layer, self.table.steps))


def predict_each(table: LatencyTable) -> Callable[[Sequence[Graph]], Sequence[float]]:
    """Return a function that predicts the milliseconds of each of some folded graphs: infinity where a layer is not known."""
    predictor = Predictor(table)

    def predict(graph: Graph) -> float:
        try:
            return predictor.predict(graph).total_ms
        except ModelError:
            return math.inf

    return lambda graphs: [predict(graph) for graph in graphs]


def round_to_step(layer: TimedLayer, steps: Steps) -> tuple[int, int]:
    """Return the channel counts that a layer's kernel really works on, each rounded as `round_up` does.

    Counts up to half a step are not rounded up to a whole step, because kernels for few channels exist.
    """
    if layer.key.split(" ", 1)[0] not in KERNELS:
        return layer.inputs, layer.outputs
    return round_up(layer.inputs, steps.inputs), round_up(layer.outputs, steps.outputs)


def round_up(count: int, by: int) -> int:
    """Round a count up to a multiple of the step `by`.

    A count of at most a quarter of a step stays unchanged, and one above that of at most half a step is rounded to half a step.
    """
    if count <= by // 4:
        return count
    return by // 2 if count <= by // 2 else -(-count // by) * by


def _grid(alike: Sequence[LayerTimes]) -> _Grid:
    """Return the grid of one key, in which no smaller layer takes longer."""
    measured = {(times.pixels, i, o): ms for times in alike for i, o, ms in times.entries}
    pixels, inputs, outputs = (tuple(sorted({point[axis] for point in measured})) for axis in range(3))
    filled = _fill(measured, pixels) if any(pixels) else measured

    def least(point: _Place) -> float:
        return max(ms for other, ms in filled.items() if all(map(operator.le, other, point)))

    return _Grid(pixels, inputs, outputs, MappingProxyType({point: least(point) for point in filled}))


def _fill(measured: Mapping[_Place, float], pixels: Sequence[int]) -> Mapping[_Place, float]:
    """Return the times with those of layers too large to be timed: in proportion to the same layer over a smaller map."""
    filled = dict(measured)
    for small, large in pairwise(pixels):
        for _, i, o in [point for point in filled if point[0] == small]:
            filled.setdefault((large, i, o), filled[small, i, o] * large / small)
    return filled


def _interpolate(grid: _Grid, pixels: int, inputs: int, outputs: int) -> float | None:
    """Return the interpolated milliseconds, or None outside the measured range of a table for one network."""
    beyond = any(grid.pixels)
    axes = ((grid.pixels, pixels), (grid.inputs, inputs), (grid.outputs, outputs))
    corners = list(product(*(_between(axis, count, beyond=beyond) for axis, count in axes)))
    total = 0.0
    for (p, one), (i, two), (o, three) in corners:
        if (p, i, o) not in grid.ms:
            return None
        total += one * two * three * grid.ms[p, i, o]
    return total if corners else None


def _between(axis: Sequence[int], count: int, *, beyond: bool) -> tuple[tuple[int, float], ...]:
    """Return the neighbours of a count on an axis and their weights: the first below the range.

    Above it there is none, or, where that is asked for, the last in proportion.
    """
    index = bisect_left(axis, count)
    if index == len(axis):
        return ((axis[-1], count / axis[-1]),) if beyond else ()
    if index == 0 or axis[index] == count:
        return ((axis[index], 1.0),)
    low, high = axis[index - 1], axis[index]
    share = (count - low) / (high - low)
    return (low, 1 - share), (high, share)
