"""The small artifacts, for every test of this folder."""

from __future__ import annotations

import pytest
from small_artifacts import Zoo, make_zoo


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    return make_zoo(tmp_path_factory.getbasetemp() / "zoo")
