"""The program, and the small artifacts, for every test of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Program, make_keras_files, make_pictures
from small_artifacts import Zoo, make_threshold, make_zoo


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return make_zoo(tmp_path_factory.getbasetemp() / "zoo")


@pytest.fixture(scope="session")
def threshold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_threshold(tmp_path_factory.getbasetemp() / "threshold")


@pytest.fixture(scope="session")
def keras_files(zoo: Zoo) -> dict[str, Path]:
    return make_keras_files(zoo)


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_pictures(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Program:
    return Program(monkeypatch, capsys)
