"""A network with channels to spare, and data to export networks with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hasty_measuring import measure_hastily
from tests.support.small_artifacts import Zoo, make_wide
from u3p_edge.pipeline.data import ExportData, read_export_data
from u3p_edge.progress import silent


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wide(tmp_path_factory.getbasetemp() / "wide")


@pytest.fixture(scope="session")
def splits(zoo: Zoo, pictures: Path) -> ExportData:
    return read_export_data(pictures, zoo.metadata, silent)


@pytest.fixture(scope="module", autouse=True)
def hasty() -> Iterator[None]:
    """Nothing here looks at what is measured."""
    with measure_hastily():
        yield
