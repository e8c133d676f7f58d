"""The program, the small artifacts, and data to export them with."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Program, make_keras_files, make_pictures, no_progress
from small_artifacts import Zoo, make_wide, make_zoo

from u3p_edge.pipeline.data import ExportData, read_export_data


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return make_zoo(tmp_path_factory.getbasetemp() / "zoo")


@pytest.fixture(scope="session")
def keras_file(zoo: Zoo) -> Path:
    return make_keras_files(zoo)[".keras"]


@pytest.fixture(scope="session")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_wide(tmp_path_factory.getbasetemp() / "wide")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture(scope="session")
def splits(zoo: Zoo, pictures: Path) -> ExportData:
    return read_export_data(pictures, zoo.metadata, no_progress)


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capsys)
