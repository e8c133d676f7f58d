"""From layers to whole networks: the correction of a latency table, and the error that remains.

The correction is fitted by least squares of relative errors to the network itself and to the same network with a half and a
quarter of its channels. It is validated on held-out networks, in which every channel group has a random share of its channels.
For a table for networks of any size, some of both are run on images of twice the height and width, and some in other shapes
(`u3p_edge.shapes`): what a layer costs besides its arithmetic shows only in small networks of many layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import Correction, LatencyTable, TableCheck
from u3p_edge.pruning.shape_only_graph import ShapeOnlyGraph
from u3p_edge.shapes.apply import apply_shape, list_shapes
from u3p_edge.shapes.shape import Shape

SHARES = (1.0, 0.5, 0.25)
"""Shares of its channels that the network has in the fit."""

FIT_SHAPES = (Shape(fold=2), Shape(fold=4, topology="plain", fusion="add"))
"""Shapes in which the network is in the fit too, with the least of `SHARES` of its channels, for a table for any size."""

HELD_OUT_SHAPES = (Shape(fold=2, topology="plain"), Shape(fold=2, fusion="add"))
"""Shapes in which the network is held out too, for a table for networks of any size."""

LEAST_SHARE = 0.25
"""The least share of its channels that a group keeps in a held-out network."""


@dataclass(frozen=True)
class CorrectionSample:
    """A whole network to time, and its name."""

    name: str
    graph: Graph

    def build(self) -> Graph:
        """Return the network."""
        return self.graph


def measure_samples(graph: Graph, any_size: bool = False) -> tuple[CorrectionSample, ...]:
    """Return the networks that a correction is fitted to.

    For a table for any size the second runs on larger images, and those of other shapes follow, where the graph can take them.
    """
    samples = [CorrectionSample(f"{share:.0%} of the channels", _share(graph, share)) for share in SHARES]
    if not any_size:
        return tuple(samples)
    shaped = (
        CorrectionSample(f"{SHARES[-1]:.0%} of the channels, {name}", _share(made, SHARES[-1]))
        for name, made in _take_shapes(graph, FIT_SHAPES)
    )
    return (samples[0], _enlarged(samples[1]), *samples[2:], *shaped)


def hold_out(graph: Graph, count: int, any_size: bool = False) -> tuple[CorrectionSample, ...]:
    """Return `count` networks of random widths to validate with; the same arguments always give the same networks.

    For a table for any size every second runs on larger images. Those of other shapes follow, where the graph can take them.
    """
    samples = [CorrectionSample(f"random widths {seed + 1}", _random(graph, seed)) for seed in range(count)]
    if not any_size:
        return tuple(samples)
    shaped = enumerate(_take_shapes(graph, HELD_OUT_SHAPES), count)
    more = (CorrectionSample(f"random widths {seed + 1}, {name}", _random(made, seed)) for seed, (name, made) in shaped)
    return (*(_enlarged(sample) if index % 2 else sample for index, sample in enumerate(samples)), *more)


def _take_shapes(graph: Graph, shapes: Sequence[Shape]) -> Iterator[tuple[str, Graph]]:
    """Yield the name of each shape that a graph can take, and the graph in it."""
    possible = list_shapes(graph)
    yield from ((shape.name, apply_shape(graph, shape)) for shape in shapes if shape in possible)


def _enlarged(sample: CorrectionSample) -> CorrectionSample:
    """Return a network for images of twice the height and width."""
    nodes = (_enlarged_input(node) if node.op == "input" else node for node in sample.graph.nodes)
    return CorrectionSample(f"{sample.name}, images twice as large", replace(sample.graph, nodes=tuple(nodes)))


def _enlarged_input(node: Node) -> Node:
    batch, *size, channels = node.attrs["shape"]
    return replace(node, attrs={**node.attrs, "shape": (batch, *(2 * side for side in size), channels)})


def fit_correction(table: LatencyTable, measured: Sequence[tuple[CorrectionSample, float]]) -> Correction:
    """Fit a correction to whole networks of known milliseconds; the table's present correction is ignored.

    If the fit cannot separate the two terms or the factor is not above 0, `each_ms` is set to 0. If the fastest layer would
    take less than 0 ms, `each_ms` is set to minus that layer's time. In both cases only the factor is then fitted.
    """
    plain = Predictor(replace(table, correction=Correction()))
    each = [[plain.alone_ms(layer) for layer in plain.list_layers(sample.graph)] for sample, _ in measured]
    whole = np.array([ms for _, ms in measured])
    rows = np.array([[sum(times), len(times)] for times in each]) / whole[:, None]
    (factor, each_ms), _, rank, _ = np.linalg.lstsq(rows, np.ones(len(whole)), rcond=1e-3)
    least = min(map(min, each))
    if rank < 2 or factor <= 0:
        each_ms = 0.0
    elif each_ms < -factor * least:
        each_ms = -least
    else:
        return Correction(float(factor), float(each_ms))
    rest = 1 - each_ms * rows[:, 1]
    return Correction(float(rows[:, 0] @ rest / (rows[:, 0] @ rows[:, 0])), float(each_ms))


def check_correction(table: LatencyTable, sample: CorrectionSample, measured_ms: float) -> TableCheck:
    """Return the table's prediction for a network next to its measured time."""
    return TableCheck(sample.name, Predictor(table).predict(sample.graph).total_ms, measured_ms)


def _share(graph: Graph, share: float) -> Graph:
    return _narrow(graph, lambda: share)


def _random(graph: Graph, seed: int) -> Graph:
    rng = np.random.default_rng(seed)
    return _narrow(graph, lambda: float(rng.uniform(LEAST_SHARE, 1.0)))


def _narrow(graph: Graph, share: Callable[[], float]) -> Graph:
    """Return the graph with a share of the channels of every group that may lose some; its weights are float32 zeros."""
    sizes = ShapeOnlyGraph(graph)
    narrow = sizes.sized({group.name: max(1, round(share() * group.size)) for group in sizes.groups if not group.frozen})
    zero = np.zeros((), np.float32)
    nodes = (replace(n, weights={k: np.broadcast_to(zero, a.shape) for k, a in n.weights.items()}) for n in narrow.nodes)
    return replace(narrow, nodes=tuple(nodes))
