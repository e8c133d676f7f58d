"""Predict the milliseconds of a network from a latency table, without running it.

A convolution's time is linear in its input channels and in its output channels, each rounded up to the kernels' steps, and has
a term for their product. So it is interpolated bilinearly between the measured counts. Before that, every measured time is
raised to that of any smaller layer with the same key, so a wider layer is never predicted to be faster. Below the least
measured count the time of that count is used, which is too much rather than too little. There is no prediction for a layer that
the table lacks, or for one that is wider than any that was measured.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph
from u3p_edge.latency.table.layers import KERNELS, TimedLayer, list_layers
from u3p_edge.latency.table.table import Entry, LatencyTable, LayerTimes, Steps

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
    """Milliseconds over the channel axes; a pair that was not measured is missing."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    ms: Mapping[tuple[int, int], float]


@dataclass(frozen=True)
class Predictor:
    """Predicts from one table. Times of layers are cached inside, which callers do not notice.

    A prediction for a network of 60 nodes takes about a millisecond.
    """

    table: LatencyTable
    _grids: Mapping[str, _Grid] = field(init=False, repr=False, compare=False)
    _known: dict[tuple[str, int, int], float] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        grids = {times.key: _grid(times) for times in self.table.layers}
        object.__setattr__(self, "_grids", MappingProxyType(grids))

    def predict(self, graph: Graph) -> Prediction:
        """Predict the milliseconds of a folded graph, whatever its weights.

        Raises:
            ModelError: the table lacks a layer or it is wider than measured (it is named); a node has no TFLite form.
        """
        nodes = {layer.node: self.layer_ms(layer) for layer in list_layers(graph)}
        return Prediction(sum(nodes.values()), MappingProxyType(nodes))

    def layer_ms(self, layer: TimedLayer) -> float:
        """Predict the milliseconds of one layer within a whole network, never below 0. Raises ModelError as `predict` does."""
        correction = self.table.correction
        return max(correction.factor * self.alone_ms(layer) + correction.each_ms, 0.0)

    def alone_ms(self, layer: TimedLayer) -> float:
        """Predict the milliseconds of one layer timed alone. Raises ModelError as `predict` does."""
        asked = layer.key, layer.inputs, layer.outputs
        if asked not in self._known:
            self._known[asked] = self._look_up(layer)
        return self._known[asked]

    def missing(self, graph: Graph) -> tuple[TimedLayer, ...]:
        """Return the layers of a graph that the table cannot predict. Raises ModelError for a node without TFLite form."""
        return tuple(layer for layer in list_layers(graph) if self._interpolate(layer) is None)

    def _look_up(self, layer: TimedLayer) -> float:
        ms = self._interpolate(layer)
        if ms is not None:
            return ms
        channels = f"{layer.inputs} to {layer.outputs} channels" if layer.outputs else f"{layer.inputs} channels"
        lacks = "of so many channels" if layer.key in self._grids else "of this kind and size"
        raise ModelError(f"the latency table has no layer {lacks}: {layer.node!r}, {layer.key}, {channels}", mend=_MEND)

    def _interpolate(self, layer: TimedLayer) -> float | None:
        grid = self._grids.get(layer.key)
        return None if grid is None else _interpolate(grid, *round_to_step(layer, self.table.steps))


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


def _grid(times: LayerTimes) -> _Grid:
    def least(entry: Entry) -> float:
        return max(ms for i, o, ms in times.entries if i <= entry[0] and o <= entry[1])

    inputs, outputs = {i for i, _, _ in times.entries}, {o for _, o, _ in times.entries}
    raised = MappingProxyType({entry[:2]: least(entry) for entry in times.entries})
    return _Grid(tuple(sorted(inputs)), tuple(sorted(outputs)), raised)


def _interpolate(grid: _Grid, inputs: int, outputs: int) -> float | None:
    """Return the interpolated milliseconds, or None outside the measured range."""
    across, down = _between(grid.inputs, inputs), _between(grid.outputs, outputs)
    total = 0.0
    for i, one in across:
        for o, other in down:
            if (i, o) not in grid.ms:
                return None
            total += one * other * grid.ms[i, o]
    return total if across and down else None


def _between(axis: Sequence[int], count: int) -> tuple[tuple[int, float], ...]:
    """Return the neighbours of a count on an axis and their weights: the first below the range, none above it."""
    index = bisect_left(axis, count)
    if index == len(axis):
        return ()
    if index == 0 or axis[index] == count:
        return ((axis[index], 1.0),)
    low, high = axis[index - 1], axis[index]
    share = (count - low) / (high - low)
    return (low, 1 - share), (high, share)
