"""Fixtures that every part of the suite may use."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from article_model import Builder

# Before TensorFlow is imported by any test: no start-up noise, no search for accelerators.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

REPOSITORY = Path(__file__).resolve().parents[1]

# Helpers beside this file (article_model.py) are imported by tests in the folders below it.
sys.path.insert(0, str(REPOSITORY / "tests"))


@pytest.fixture(scope="session", autouse=True)
def timings_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests time is neither read from the user's cache nor written there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("U3P_EDGE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


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
    from article_model import load_article_builder  # imports TensorFlow, which most tests do not need

    return load_article_builder(shared)
