"""Fixtures that every part of the suite may use."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.command_line import Program, make_keras_files, make_pictures
from tests.support.hasty_measuring import measure_hastily
from tests.support.paths import REPOSITORY
from tests.support.small_artifacts import Zoo, make_threshold, make_zoo

if TYPE_CHECKING:
    from tests.support.article_model import Builder

# Before TensorFlow is imported by any test: no start-up noise, no search for accelerators.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")


def pytest_collection_finish() -> None:
    """What is imported by now stays until the end, so garbage is not looked for in it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def timings_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests time, and the key of patients' names, is neither read from the user's folders nor written there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("U3P_EDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("U3P_EDGE_CONFIG", str(tmp_path_factory.mktemp("settings")))
        yield


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_interrupts() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt here and in what is started here, also where a shell started the tests in its background:
    it lets them ignore the signal, and a process inherits that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of measured data and golden facts beside the checkout; tests that need it skip without it."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("../shared is not here")
    return folder


@pytest.fixture(scope="session")
def article_builder(shared: Path) -> Builder:
    """The article's own `unet3p_2d`, run under tf_keras from its text."""
    from tests.support.article_model import load_article_builder  # imports TensorFlow, which most tests do not need

    return load_article_builder(shared)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """One tiny real network in every format."""
    return make_zoo(tmp_path_factory.getbasetemp() / "zoo")


@pytest.fixture(scope="session")
def threshold(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A TFLite file that says which pixels are bright."""
    return make_threshold(tmp_path_factory.getbasetemp() / "threshold")


@pytest.fixture(scope="session")
def keras_files(zoo: Zoo) -> dict[str, Path]:
    """The zoo's network as tf_keras saves it, by suffix."""
    return make_keras_files(zoo)


@pytest.fixture(scope="session")
def keras_file(keras_files: dict[str, Path]) -> Path:
    """The zoo's network as a .keras file."""
    return keras_files[".keras"]


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder of the zoo's pictures."""
    return make_pictures(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Program]:
    """`u3p-edge`, run in this process; what it measures says little."""
    with measure_hastily():
        yield Program(monkeypatch, capsys)
