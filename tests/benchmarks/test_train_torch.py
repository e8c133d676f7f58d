"""The trainer in PyTorch, where that is installed: its networks are this package's, and it trains and resumes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.students.exchange import read_network, write_network
from tests.support.student_networks import narrow, predict

torch = pytest.importorskip("torch", reason="PyTorch is no dependency: python -m pip install torch")

OPTIONS = {
    "epochs": 8, "batch": 4, "warmup": 1, "averaging": 0.5, "learning_rate": 0.02, "validate": 2,
    "distillation": 0, "momentum": 0.3,
    "augmentation": {
        "probability": 0.5, "flip_horizontal": True, "flip_vertical": True, "rotation": 10, "scaling": 0.1, "shift": 0.05,
        "gain": 0.1, "gamma": 0.1, "noise": 0.01, "bias": 0.1,
    },
}  # fmt: skip


def folder_with_jobs(folder: Path) -> Path:
    """Write a job on images whose bright and middle squares are the classes, and return the job file."""
    rng, arrays = np.random.default_rng(0), dict[str, np.ndarray]()
    for name, count in {"train": 16, "val": 4, "test": 4}.items():
        labels = np.zeros((count, 16, 16), np.uint8)
        for image in labels:
            (y, x), (v, u) = rng.integers(0, 9, 2), rng.integers(0, 9, 2)
            image[v : v + 6, u : u + 6] = 1
            image[y : y + 6, x : x + 6] = 2
        noise = rng.normal(0, 0.02, labels.shape)
        arrays |= {f"{name}_images": (labels / 2 + noise)[..., None].astype(np.float16), f"{name}_labels": labels}
        arrays[f"{name}_groups"] = np.array([f"p{index // 2}" for index in range(count)])
    np.savez(folder / "arrays.npz", **arrays)  # type: ignore[arg-type]  # of a later keyword that no array is named like
    write_network(folder / "net.json", narrow(), weights=True)
    jobs = [{"name": "net", "network": "net.json", "weights": "net.npz"}]
    path = folder / "students.jobs.json"
    path.write_text(json.dumps({"data": "arrays.npz", "teacher": None, "defaults": OPTIONS, "jobs": jobs}), encoding="utf-8")
    return path


def test_a_network_computes_what_its_graph_computes(tmp_path: Path) -> None:
    from benchmarks.students import train_torch

    path = tmp_path / "net.json"
    write_network(path, narrow(), weights=True)
    network = train_torch.read_network(path, path.with_suffix(".npz"), 0, torch.device("cpu"))
    image = np.random.default_rng(0).random((2, 16, 16, 1), dtype=np.float32)
    mask = train_torch.predict(network, torch.tensor(image).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    # Both compute in float32, sums of at most 3 * 3 * 8 products in another order: 72 * 2^-24 of normalised maps each.
    np.testing.assert_allclose(mask, predict(read_network(path, path.with_suffix(".npz")), image), atol=1e-4)


def test_training_learns_and_what_is_trained_is_not_trained_again(tmp_path: Path) -> None:
    from benchmarks.students import train_torch

    jobs, scores = folder_with_jobs(tmp_path), tmp_path / "trained" / "net_1.json"
    train_torch.run_jobs(jobs, [1], 2, 10, torch.device("cpu"))
    record = json.loads(scores.read_text(encoding="utf-8"))
    assert record["val"] > record["history"][0]["val"] + 0.05
    assert record["test_groups"] == ["p0", "p1"]
    assert np.shape(record["test_dice"]) == (2, 2)
    written = scores.stat().st_mtime_ns
    train_torch.run_jobs(jobs, [1], 2, 10, torch.device("cpu"))
    assert scores.stat().st_mtime_ns == written
    # The weights that were kept are those that were scored.
    network = train_torch.read_network(tmp_path / "net.json", scores.with_suffix(".npz"), 0, torch.device("cpu"))
    data = train_torch.read_splits(tmp_path / "arrays.npz", torch.device("cpu"))
    assert np.nanmean(train_torch.score(network, data["val"])) == pytest.approx(record["val"], abs=0.01)  # kernels are float16


def test_an_op_that_is_not_trained_is_refused_by_name() -> None:
    from benchmarks.students import train_torch

    with pytest.raises(ValueError, match="swish"):
        train_torch.activate(torch.zeros(1, 1, 1, 1), "swish")
