"""Training on images that are kept on disk gives the weights and scores of training on those in memory, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.tiny_run import discs
from u3p_edge.data.disk_arrays import arrays_folder
from u3p_edge.data.memory import LIMIT
from u3p_edge.models.stored_files import WEIGHTS
from u3p_edge.pipeline.train import train
from u3p_edge.training.output import SCORES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Twelve images of discs in three splits."""
    root, rows = tmp_path / "data", ["name,patient,split"]
    arrays = discs(12, 1)
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True)
    for i in range(12):
        Image.fromarray((255 * arrays.images[i, :, :, 0].clip(0, 1)).astype(np.uint8)).save(root / "images" / f"{i}.png")
        Image.fromarray(255 * arrays.labels[i]).save(root / "masks" / f"{i}.png")
        rows.append(f"{i},{i},{'train' if i < 8 else 'val' if i < 10 else 'test'}")
    (root / "split.csv").write_text("\n".join(rows))
    return root


@pytest.mark.slow  # tests/data/test_array_cache.py shows that the arrays are the same
def test_a_training_on_disk_is_the_one_in_memory(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U3P_EDGE_CACHE", str(tmp_path / "cache"))
    runs = {}
    for name, limit in (("in memory", "100"), ("on disk", "0")):
        monkeypatch.setenv(LIMIT, limit)
        train(folder, tmp_path / name, base_width=2, size=(32, 32), epochs=2, batch_size=4, deep_supervision=False)
        runs[name] = ((tmp_path / name / WEIGHTS).read_bytes(), json.loads((tmp_path / name / SCORES).read_text()))
        assert len(list(arrays_folder().glob("*/images.npy"))) == (3 if limit == "0" else 0)
    assert runs["in memory"] == runs["on disk"]
