"""Fixtures of the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.small_artifacts import picture


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A grey picture file of the size that small artifacts take."""
    path = tmp_path / "scan.png"
    Image.fromarray((255 * picture(0)[:, :, 0]).astype(np.uint8)).save(path)
    return path
