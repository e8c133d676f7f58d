"""A backbone that is frozen stays as it is, statistics included, and is trained after that; the run ends in int8 files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras

from tests.support.command_line import QUICK, Program
from tests.support.exported_files import CONVERTED
from tests.support.prunable_graphs import thinned
from u3p_edge.graph.cost import cost
from u3p_edge.models.backbone import is_backbone
from u3p_edge.pipeline.source import read_source
from u3p_edge.pruning.apply import apply_plan
from u3p_edge.quantization.support import check_trainable
from u3p_edge.runtime import open_session
from u3p_edge.training.recipe import TrainRecipe
from u3p_edge.training.trainer import Trainer

pytestmark = pytest.mark.slow

RECIPE = TrainRecipe(size=(32, 32), channels=1, labels=2, base_width=2, backbone="mobilenet_v2", deep_supervision=False)


def weights(trainer: Trainer, *, backbone: bool) -> list[np.ndarray[Any, Any]]:
    return [w.numpy() for layer in trainer.model.layers if is_backbone(layer.name) == backbone for w in layer.weights]


def same(before: list[Any], after: list[Any]) -> list[bool]:
    return [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]


def test_frozen_steps_leave_the_backbone_as_it_is() -> None:
    trainer, draw = Trainer(RECIPE), np.random.default_rng(0)
    images = draw.normal(size=(4, 32, 32, 1)).astype(np.float32)
    labels = (images[..., 0] > 0).astype(np.uint8)
    start = weights(trainer, backbone=True), weights(trainer, backbone=False)
    trainer.train_step(images, labels, 1e-3, 0, train_gate=False, frozen=1)
    frozen = weights(trainer, backbone=True), weights(trainer, backbone=False)
    assert all(same(start[0], frozen[0]))
    assert not any(same(start[1], frozen[1]))
    trainer.train_step(images, labels, 1e-3, 1, train_gate=False, frozen=1)
    free = weights(trainer, backbone=True)
    assert sum(same(frozen[0], free)) < len(free) / 100, "statistics and kernels move"
    # The first step of a moment changes a weight by about the learning rate, however late it comes.
    changes = [np.abs(a - b).max() for a, b in zip(frozen[0], free, strict=True) if a.ndim == 4]
    assert np.median(changes) == pytest.approx(1e-3, rel=0.2)


def test_from_weights_to_int8_files(program: Program, pictures: Path, tmp_path: Path) -> None:
    stored, run = tmp_path / "weights.h5", tmp_path / "run"
    tf_keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(48, 64, 3)).save_weights(stored)
    options = ("--size", "48x64", "--width", 4, "--epochs", 3, "--freeze-epochs", 1, "--batch", 4, "--patience", 0)
    backbone = ("--backbone", "mobilenet_v2", "--backbone-weights", stored)
    ended = program("train", pictures, "--out", run, *options, *backbone)
    assert ended.code == 0, ended.err
    source = read_source(run)
    assert (source.metadata.preprocessing.mean, source.metadata.preprocessing.std) == ((127.5,), (127.5,))
    assert "backbone weights" in dict(source.metadata.lineage)
    ended = program("export", run, "--int8", "--data", pictures, "--out", run, *QUICK)
    assert ended.code == 0, ended.err
    for name in CONVERTED:
        assert open_session(run / name).metadata.preprocessing.mean == (127.5,)
    pruned = apply_plan(source.graph, thinned(source.graph))
    assert cost(pruned).total_macs < 0.9 * source.macs
    check_trainable(pruned)
