"""From layers to whole networks: the correction of a table, and what is left of the error.

The correction is fitted to the network itself and to the same with a half and a quarter of its channels, least squares of
relative errors. What it is worth shows on networks that took no part in it: every kernel with a random share of its channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from u3p_edge.graph.ir import Graph
from u3p_edge.latency.table.layers import list_layers
from u3p_edge.latency.table.narrow import narrow_graph
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import Correction, LatencyTable, TableCheck

SHARES = (1.0, 0.5, 0.25)
"""Of its channels that the network is fitted with."""

LEAST_SHARE = 0.25
"""Of its channels that a kernel keeps in a network that is held out."""


@dataclass(frozen=True)
class CorrectionSample:
    """A whole network to be timed, and what it is called."""

    name: str
    graph: Graph

    def build(self) -> Graph:
        """The network."""
        return self.graph


def measure_samples(graph: Graph) -> tuple[CorrectionSample, ...]:
    """The networks that a correction is fitted to."""
    return tuple(CorrectionSample(f"{share:.0%} of the channels", _share(graph, share)) for share in SHARES)


def hold_out(graph: Graph, count: int) -> tuple[CorrectionSample, ...]:
    """Networks of uneven widths, the same for the same graph and count."""
    return tuple(CorrectionSample(f"random widths {seed + 1}", _random(graph, seed)) for seed in range(count))


def fit_correction(table: LatencyTable, measured: Sequence[tuple[CorrectionSample, float]]) -> Correction:
    """The correction for whole networks of known milliseconds; the table's own does not count.

    Where the networks cannot tell the two parts apart, or a layer would take less than nothing, the part of each layer is
    what is possible and the factor alone is fitted.
    """
    plain = Predictor(replace(table, correction=Correction()))
    each = [[plain.alone_ms(layer) for layer in list_layers(sample.graph)] for sample, _ in measured]
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
    """What the table says of a network, beside what it takes."""
    return TableCheck(sample.name, Predictor(table).predict(sample.graph).total_ms, measured_ms)


def _share(graph: Graph, share: float) -> Graph:
    return narrow_graph(graph, lambda _, count: max(1, round(share * count)))


def _random(graph: Graph, seed: int) -> Graph:
    rng = np.random.default_rng(seed)
    return narrow_graph(graph, lambda _, count: max(1, round(float(rng.uniform(LEAST_SHARE, 1.0)) * count)))
