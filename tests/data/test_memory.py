"""How much memory arrays may take; a data set larger than memory and disk is refused with the figure, before it is read."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.data.folder import Sample
from u3p_edge.data.load import load_samples
from u3p_edge.data.memory import LIMIT, SHARE, allowed_bytes, array_bytes, available_bytes, fits_memory
from u3p_edge.errors import ConfigError, DataError


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
    # The cached pages of files give way: of the 2000 bytes, 500 are left to whoever asks.
    (tmp_path / "memory.stat").write_text("anon 1500\nactive_file 0\ninactive_file 500\n")
    assert available_bytes(tmp_path) == 3500
    (tmp_path / "memory.max").write_text("max\n")
    assert available_bytes(tmp_path) > 5000


def test_an_array_may_take_a_share_of_what_is_available_or_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LIMIT, raising=False)
    assert allowed_bytes() <= SHARE * psutil.virtual_memory().total
    monkeypatch.setenv(LIMIT, "1.5")
    assert allowed_bytes() == 1_500_000
    assert fits_memory(1_500_000)
    assert not fits_memory(1_500_001)
    for wrong in ("much", "-1", "inf", "nan"):
        monkeypatch.setenv(LIMIT, wrong)
        with pytest.raises(ConfigError, match=f"{LIMIT} cannot be '{wrong}'"):
            allowed_bytes()


def test_too_many_images_are_refused_before_any_is_read(tmp_path: Path) -> None:
    preprocessing = Preprocessing(8192, 8192, 3)
    largest = max(psutil.virtual_memory().total, shutil.disk_usage(tmp_path).total)
    count = largest // array_bytes(1, preprocessing) + 1
    absent = Sample("a", tmp_path / "absent.png", tmp_path / "absent.png", "a", "train")
    with pytest.raises(
        DataError,
        match=rf"{count:,} images of 8192x8192x3 need [\d.]+ GB of memory or disk, but [\d.]+ GB of",
    ):
        load_samples([absent] * count, preprocessing, 2)
