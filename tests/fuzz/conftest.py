"""The sound files that are damaged, and the process that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fuzz.process import Worker
from tests.support.small_artifacts import Zoo


@pytest.fixture(scope="session")
def sound(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    """Sound files of every reader, from which the damaged ones are made."""
    from tests.support.fuzz.sound_files import make  # imports TensorFlow

    return make(zoo, tmp_path_factory.mktemp("sound"))


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """The process that reads, one for all tests: TensorFlow takes seconds to load."""
    process = Worker(tmp_path_factory.mktemp("fuzz"))
    yield process
    process.stop()
