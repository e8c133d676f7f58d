from __future__ import annotations

import csv
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support.paths import REPOSITORY
from tests.support.tiny_run import DATA, EPOCHS, RECIPE, tiny_data, tiny_recipe
from u3p_edge.errors import ArtifactError, ConfigError, DataError, ModelError
from u3p_edge.manifest import read_manifest, sha256_of
from u3p_edge.models.store import load_model
from u3p_edge.training.checkpoint import RESUME, load_checkpoint
from u3p_edge.training.epoch import keep_gate
from u3p_edge.training.loop import TrainResult, train
from u3p_edge.training.prepare import TrainData
from u3p_edge.training.recipe import read_train_recipe
from u3p_edge.training.state import EpochRecord, RunState
from u3p_edge.training.trainer import GATE, Trainer


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run below as it is after four epochs, once these are safe on disk."""
    return tmp_path_factory.mktemp("begun") / "run"


@pytest.fixture(scope="module")
def whole(begun: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainResult:
    """A run that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole")

    def copy(state: RunState) -> None:
        if state.epoch == 4:
            shutil.copytree(folder, begun)

    return train(RECIPE, DATA, folder, on_epoch=copy)


def assert_same_run(result: TrainResult, whole: TrainResult) -> None:
    """Bit for bit: weights and moments after the last epoch, the best weights, the history, the model, the scores."""
    one, other = (load_checkpoint(r.folder) for r in (result, whole))
    assert one is not None
    assert other is not None
    assert one.tensors.keys() == other.tensors.keys()
    for name, array in one.tensors.items():
        np.testing.assert_array_equal(array, other.tensors[name], err_msg=name)
    for field in ("train_loss", "validation_loss", "dice", "gate_loss", "learning_rate"):
        assert [getattr(r, field) for r in one.state.history] == [getattr(r, field) for r in other.state.history]
    assert sha256_of(result.folder / "model.safetensors") == sha256_of(whole.folder / "model.safetensors")
    assert result.scores == whole.scores


def test_it_learns(whole: TrainResult) -> None:
    history = whole.state.history
    assert history[-1].train_loss < 0.6 * history[0].train_loss
    assert history[-1].validation_loss < history[0].validation_loss
    # All foreground has a Dice of about .2 here (a disc of radius 7 on 32x32: p = .15, 2p / (1 + p) = .26).
    assert whole.state.history[whole.state.best_epoch - 1].mean_dice > 0.6


def test_the_run_folder_says_it_all(whole: TrainResult) -> None:
    run = whole.folder
    assert read_train_recipe(run / "recipe.toml") == RECIPE
    rows = list(csv.DictReader((run / "history.csv").open(encoding="utf-8")))
    assert [int(row["epoch"]) for row in rows] == list(range(1, EPOCHS + 1))
    assert float(rows[-1]["dice class 1"]) == whole.state.history[-1].mean_dice
    assert all(0 <= float(row["gate_accuracy"]) <= 1 for row in rows)
    assert len(json.loads((run / "history.json").read_text())["epochs"]) == EPOCHS
    scores = json.loads((run / "scores.json").read_text())
    assert scores["validation"]["mean_dice"] == max(r.mean_dice for r in whole.state.history)
    assert scores["test"]["images"] == scores["test"]["groups"] == len(DATA.test.images) if DATA.test else False
    assert list((run / "tb").glob("events.*"))
    manifest = read_manifest(run)
    assert all(sha256_of(run / artifact.file) == artifact.sha256 for artifact in manifest.artifacts)
    assert {"model.safetensors", "model.json", "scores.json"} <= {artifact.file for artifact in manifest.artifacts}


def test_the_stored_model_is_the_best_one(whole: TrainResult) -> None:
    model, config, metadata = load_model(whole.folder)
    checkpoint = load_checkpoint(whole.folder)
    assert checkpoint is not None
    assert config == RECIPE.model_config()
    assert metadata.preprocessing == RECIPE.preprocessing()
    for variable in model.weights:
        np.testing.assert_array_equal(variable.numpy(), checkpoint.tensors[f"best/model/{variable.name}"])


def test_a_resumed_run_is_the_run_that_was_not_interrupted(whole: TrainResult, begun: Path) -> None:
    checkpoint = load_checkpoint(begun)
    assert checkpoint is not None
    assert checkpoint.state.epoch == 4
    load_model(begun)  # the best so far is there already
    assert_same_run(train(RECIPE, DATA, begun), whole)


@pytest.mark.slow  # the test above resumes the same run after an interruption
def test_a_run_killed_at_any_moment_is_resumed(whole: TrainResult, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-m", "tests.support.tiny_run", str(tmp_path)], cwd=REPOSITORY)
    try:
        while not (tmp_path / RESUME).exists() and process.poll() is None:
            time.sleep(0.02)
        # An epoch takes some tenths of a second here, half of it writing files.
        time.sleep(random.uniform(0, 1))
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.state.epoch >= 1
    assert_same_run(train(RECIPE, DATA, tmp_path), whole)


def test_a_finished_run_is_not_trained_again(whole: TrainResult) -> None:
    before = sha256_of(whole.folder / RESUME)
    again = train(RECIPE, DATA, whole.folder)
    assert again.scores == whole.scores
    assert sha256_of(whole.folder / RESUME) == before


def test_another_recipe_or_other_data_are_refused(whole: TrainResult) -> None:
    with pytest.raises(ConfigError, match=r"epochs = 10, not 11.*--restart"):
        train(tiny_recipe(epochs=11, cgm=True, gate_patience=0), DATA, whole.folder)
    with pytest.raises(ConfigError, match="other images"):
        train(RECIPE, tiny_data(), whole.folder)


def test_a_damaged_checkpoint_is_named(whole: TrainResult, tmp_path: Path) -> None:
    data = (whole.folder / RESUME).read_bytes()
    for part in (data[: len(data) // 2], b"", b"\x00" * 100):
        (tmp_path / RESUME).write_bytes(part)
        with pytest.raises(ArtifactError, match=r"resume\.safetensors"):
            train(RECIPE, DATA, tmp_path)


@pytest.mark.slow  # tests/distill/test_loop.py stops by the same loop
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_best(tmp_path: Path) -> None:
    broken = np.array(DATA.train.images)
    broken[0] = np.inf
    data = TrainData(type(DATA.train)(broken, *list(vars(DATA.train).values())[1:]), DATA.validation)
    with pytest.raises(ModelError, match=r"not finite at epoch 1, step \d.*--lr"):
        train(tiny_recipe(augmentation=None), data, tmp_path)
    assert not (tmp_path / RESUME).exists()


def test_what_cannot_be_trained_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="complete"):
        train(tiny_recipe(labels=None), DATA, tmp_path)
    with pytest.raises(ConfigError, match="images are"):
        train(tiny_recipe(size=(48, 32)), DATA, tmp_path)
    with pytest.raises(DataError, match="foreground"):
        train(tiny_recipe(), TrainData(DATA.train, tiny_data(empty_every=1).validation), tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_gate_that_overfits_gets_its_best_weights_back_for_good() -> None:
    recipe = tiny_recipe(cgm=True, gate_patience=1)
    trainer, state = Trainer(recipe), RunState(recipe, "")

    def after(state: RunState, loss: float) -> RunState:
        number = state.epoch + 1
        return state.after(EpochRecord(number, 0.1, 1, 1, (1, 1), 0.1, loss, 0.5, gate_trained=state.gate_live))

    state = after(state, 0.5)
    gate = keep_gate(trainer, state, {})
    best = [v.numpy() for v in trainer.model.get_layer(GATE).weights]
    for variable in trainer.model.get_layer(GATE).weights:
        variable.assign_add(variable * 0 + 1)
    state = after(state, 0.6)
    keep_gate(trainer, state, gate)
    assert not state.gate_live
    for variable, array in zip(trainer.model.get_layer(GATE).weights, best, strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)


@pytest.mark.slow
def test_steps_of_a_large_network_give_the_same_bits_every_time() -> None:
    # Large enough for TensorFlow to want to save memory: see `Trainer.__init__` on the order of gradient sums.
    trainer = Trainer(tiny_recipe(base_width=8, size=(128, 128), labels=4, deep_supervision=True))
    rng = np.random.default_rng(0)
    images = rng.random((8, 128, 128, 1), dtype=np.float32)
    labels = rng.integers(0, 4, (8, 128, 128)).astype(np.uint8)
    start, ends = trainer.tensors(), []
    for _ in range(10):
        trainer.restore(start)
        for step in range(2):
            trainer.train_step(images, labels, 1e-3, step, train_gate=False)
        ends.append(trainer.tensors())
    for end in ends[1:]:
        for name, array in ends[0].items():
            np.testing.assert_array_equal(end[name], array, err_msg=name)
