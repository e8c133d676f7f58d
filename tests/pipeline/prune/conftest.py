"""A network with channels to spare, its data, and a device on which its time is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.latency_tables import DEVICE
from tests.support.pruning_runs import known
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.latency.table.layers import TimedLayer, list_layers
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.latency.table.table import LatencyTable, Steps, write_latency_table
from u3p_edge.pipeline.data import ExportData, read_export_data
from u3p_edge.pipeline.source import Source, read_source
from u3p_edge.progress import silent


@pytest.fixture(scope="session")
def source(wide: Path) -> Source:
    return read_source(wide)


@pytest.fixture(scope="session")
def data(source: Source, pictures: Path) -> ExportData:
    return read_export_data(pictures, source.metadata, silent)


@pytest.fixture(scope="session")
def table(source: Source) -> LatencyTable:
    """Of a device whose times are known (`pruning_runs.known`)."""
    wanted: dict[str, list[TimedLayer]] = {}
    for layer in list_layers(fold_batch_norm(source.graph)):
        wanted.setdefault(layer.key, []).append(layer)
    return LatencyTable(DEVICE, Steps(1, 1), tuple(known(key, alike) for key, alike in wanted.items()))


@pytest.fixture(scope="session")
def device(table: LatencyTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("device") / "device.json"
    write_latency_table(path, table)
    return path


@pytest.fixture(scope="session")
def unpruned_ms(source: Source, table: LatencyTable) -> float:
    """What the table says of the original network."""
    return Predictor(table).predict(fold_batch_norm(source.graph)).total_ms
