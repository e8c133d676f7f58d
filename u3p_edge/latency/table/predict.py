"""Milliseconds of a network from a table, without running it.

A convolution's time is linear in its input channels and in its output channels, each rounded up to the kernels' steps, and has
a term of their product; so between the measured counts it is interpolated bilinearly. Before, every measured time is raised to
that of any smaller layer of its key: a wider layer is never said to be faster. Below the least measured count its time is
taken, which is too much rather than too little. Nothing is told of a layer that the table lacks, or wider than it was measured.
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
    """Of one network.

    Args:
        total_ms: milliseconds of one run.
        nodes: its share by node; nodes that take no time are not there.
    """

    total_ms: float
    nodes: Mapping[str, float]


@dataclass(frozen=True)
class _Grid:
    """Milliseconds over the axes; a pair that was not measured is not there."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    ms: Mapping[tuple[int, int], float]


@dataclass(frozen=True)
class Predictor:
    """Predictions from one table; what it has once told of a layer it remembers, which nobody can see.

    A network of 60 nodes takes it about a millisecond.
    """

    table: LatencyTable
    _grids: Mapping[str, _Grid] = field(init=False, repr=False, compare=False)
    _known: dict[tuple[str, int, int], float] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        grids = {times.key: _grid(times) for times in self.table.layers}
        object.__setattr__(self, "_grids", MappingProxyType(grids))

    def predict(self, graph: Graph) -> Prediction:
        """The milliseconds of a folded graph, whatever its weights.

        Raises:
            ModelError: a layer that the table lacks or that is wider than measured, by name; a node without TFLite form.
        """
        nodes = {layer.node: self.layer_ms(layer) for layer in list_layers(graph)}
        return Prediction(sum(nodes.values()), MappingProxyType(nodes))

    def layer_ms(self, layer: TimedLayer) -> float:
        """Milliseconds of one layer within a whole network, never below 0. Raises ModelError as `predict_latency` does."""
        correction = self.table.correction
        return max(correction.factor * self.alone_ms(layer) + correction.each_ms, 0.0)

    def alone_ms(self, layer: TimedLayer) -> float:
        """Milliseconds of one layer timed alone. Raises ModelError as `predict_latency` does."""
        asked = layer.key, layer.inputs, layer.outputs
        if asked not in self._known:
            self._known[asked] = self._looked_up(layer)
        return self._known[asked]

    def missing(self, graph: Graph) -> tuple[TimedLayer, ...]:
        """The layers of a graph that the table cannot tell. Raises ModelError for a node without TFLite form."""
        return tuple(layer for layer in list_layers(graph) if self._found(layer) is None)

    def _looked_up(self, layer: TimedLayer) -> float:
        found = self._found(layer)
        if found is not None:
            return found
        channels = f"{layer.inputs} to {layer.outputs} channels" if layer.outputs else f"{layer.inputs} channels"
        lacks = "of so many channels" if layer.key in self._grids else "of this kind and size"
        raise ModelError(f"the latency table has no layer {lacks}: {layer.node!r}, {layer.key}, {channels}", mend=_MEND)

    def _found(self, layer: TimedLayer) -> float | None:
        grid = self._grids.get(layer.key)
        return None if grid is None else _interpolated(grid, *round_to_step(layer, self.table.steps))


def predict_latency(graph: Graph, table: LatencyTable) -> Prediction:
    """The milliseconds of one graph; see `Predictor.predict`, which is faster for many."""
    return Predictor(table).predict(graph)


def round_to_step(layer: TimedLayer, steps: Steps) -> tuple[int, int]:
    """The channels that a layer's kernel really works on. Up to half a step they are left: kernels for few channels exist."""
    if layer.key.split(" ", 1)[0] not in KERNELS:
        return layer.inputs, layer.outputs
    return round_up(layer.inputs, steps.inputs), round_up(layer.outputs, steps.outputs)


def round_up(count: int, by: int) -> int:
    """The next multiple of a step; half a step above a quarter of it, and less as it is."""
    if count <= by // 4:
        return count
    return by // 2 if count <= by // 2 else -(-count // by) * by


def _grid(times: LayerTimes) -> _Grid:
    def least(entry: Entry) -> float:
        return max(ms for i, o, ms in times.entries if i <= entry[0] and o <= entry[1])

    inputs, outputs = {i for i, _, _ in times.entries}, {o for _, o, _ in times.entries}
    raised = MappingProxyType({entry[:2]: least(entry) for entry in times.entries})
    return _Grid(tuple(sorted(inputs)), tuple(sorted(outputs)), raised)


def _interpolated(grid: _Grid, inputs: int, outputs: int) -> float | None:
    """None outside of what was measured."""
    across, down = _between(grid.inputs, inputs), _between(grid.outputs, outputs)
    total = 0.0
    for i, one in across:
        for o, other in down:
            if (i, o) not in grid.ms:
                return None
            total += one * other * grid.ms[i, o]
    return total if across and down else None


def _between(axis: Sequence[int], count: int) -> tuple[tuple[int, float], ...]:
    """The neighbours of a count and their weights; the first for less than it, none for more than the last."""
    place = bisect_left(axis, count)
    if place == len(axis):
        return ()
    if place == 0 or axis[place] == count:
        return ((axis[place], 1.0),)
    low, high = axis[place - 1], axis[place]
    share = (count - low) / (high - low)
    return (low, 1 - share), (high, share)
