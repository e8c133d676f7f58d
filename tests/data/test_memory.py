"""A data set larger than memory is refused with the figure, before it is read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.folder import Sample
from u3p_edge.data.load import load_samples
from u3p_edge.data.memory import array_bytes, available_bytes
from u3p_edge.errors import DataError


def test_the_figure_is_that_of_the_arrays(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((20, 20), np.uint8)).save(tmp_path / "a.png")
    preprocessing = Preprocessing(16, 32, 3)
    arrays = load_samples([Sample("a", tmp_path / "a.png", tmp_path / "a.png", "a", "train")] * 5, preprocessing, 2)
    assert array_bytes(5, preprocessing) == arrays.images.nbytes + arrays.labels.nbytes


def test_a_containers_limit_counts(tmp_path: Path) -> None:
    assert 0 < available_bytes(tmp_path) <= psutil.virtual_memory().total
    (tmp_path / "memory.max").write_text("5000\n")
    (tmp_path / "memory.current").write_text("2000\n")
    assert available_bytes(tmp_path) == 3000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(tmp_path) > 5000


def test_too_many_images_are_refused_before_any_is_read(tmp_path: Path) -> None:
    preprocessing = Preprocessing(8192, 8192, 3)
    count = psutil.virtual_memory().total // array_bytes(1, preprocessing) + 1
    absent = Sample("a", tmp_path / "absent.png", tmp_path / "absent.png", "a", "train")
    with pytest.raises(
        DataError, match=rf"{count:,} images of 8192x8192x3 need [\d.]+ GB of memory, and [\d.]+ GB are available"
    ):
        load_samples([absent] * count, preprocessing, 2)
