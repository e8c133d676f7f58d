"""Training from a recipe and data to a run folder that can be resumed after every epoch."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from u3p_edge.artifact import Manifest, describe, write_json, write_manifest, write_text
from u3p_edge.errors import ArtifactError, ConfigError, DataError, ModelError
from u3p_edge.models.store import save_model
from u3p_edge.progress import Progress, Step, silent
from u3p_edge.run_folder import hold
from u3p_edge.training.checkpoint import (
    RESUME,
    Checkpoint,
    Tensors,
    check_same_run,
    fingerprint,
    load_checkpoint,
    save_checkpoint,
)
from u3p_edge.training.dataset import steps_per_epoch, training_batches
from u3p_edge.training.device import training_device
from u3p_edge.training.evaluate import evaluate
from u3p_edge.training.logs import Board, optional, scores, write_history
from u3p_edge.training.output import FILES, FORMATS, NAMES, RECIPE, SCORES, open_run
from u3p_edge.training.prepare import TrainData
from u3p_edge.training.recipe import TrainRecipe
from u3p_edge.training.schedule import learning_rate
from u3p_edge.training.state import EpochRecord, RunState
from u3p_edge.training.trainer import Trainer

OnEpoch = Callable[[RunState], object]
"""Is called with the state after an epoch, whose record is the last of its history."""


def _ignore(_state: RunState) -> None:
    pass


@dataclass(frozen=True)
class TrainResult:
    """The result of a finished run.

    Args:
        folder: the run folder; `u3p_edge.models.store.load_model` reads the best model from it.
        state: recipe and history.
        scores: what scores.json holds.
    """

    folder: Path
    state: RunState
    scores: dict[str, object]


def train(
    recipe: TrainRecipe,
    data: TrainData,
    out: Path,
    progress: Progress = silent,
    *,
    restart: bool = False,
    on_epoch: OnEpoch = _ignore,
) -> TrainResult:
    """Train a UNet 3+, or continue the run in `out`.

    After every epoch the run folder holds the best model so far (model.safetensors, model.json), the recipe, the history
    and a checkpoint from which the same call continues to bit-identical weights on the same machine, whenever it was
    killed. At the end the best epoch's weights are scored on validation and test images (scores.json).

    Args:
        recipe: with `channels` and `labels` set (see `u3p_edge.training.prepare.complete`).
        data: preprocessed as the recipe says.
        out: the run folder.
        progress: shows the steps, and notes each thing in `out` that was damaged and is made again.
        restart: drop the run in `out`, and read nothing of it.
        on_epoch: called after each epoch, when it is safe on disk.

    Raises:
        ConfigError: the recipe does not fit the data, or `out` holds a run of another recipe or data.
        DataError: no foreground in the validation masks.
        ModelError: the loss is not finite.
        ArtifactError: `out` cannot be written, holds a file of other origin under a name that a training writes, is being
            written by another process, or its checkpoint cannot be read.
    """
    _check(recipe, data)
    with hold(out):
        manifest = open_run(out, restart=restart, progress=progress)
        trainer, start = _open(recipe, data, out, restart=restart)
        # From here on the files change, and belong to this run even if this process is killed.
        manifest = manifest.with_claims(NAMES)
        write_manifest(out, manifest)
        if restart:
            _drop(out)
        return _train(trainer, start, data, out, manifest, progress, on_epoch)


def _train(
    trainer: Trainer,
    start: Checkpoint,
    data: TrainData,
    out: Path,
    manifest: Manifest,
    progress: Progress,
    on_epoch: OnEpoch,
) -> TrainResult:
    """Train until the end, and write all files of the run; `manifest` lists what else the folder holds."""
    recipe = trainer.recipe
    names = recipe.metadata().class_names
    metadata = recipe.metadata((("training data", start.state.data),))
    write_text(out / RECIPE, recipe.to_toml())
    write_history(out, start.state.history, names)
    board = Board(out, start.state.history, names)
    kept: Tensors = {name: array for name, array in start.tensors.items() if not name.startswith(("model/", "adam/"))}
    state = start.state
    step = _show_start(state, data, out, progress)
    while not state.finished:
        live = state.gate_live
        state = state.after(_epoch(trainer, state, data, step))
        kept = keep(trainer, state, kept)
        save_checkpoint(out, Checkpoint(state, {**trainer.tensors(), **kept}))
        if state.best_epoch == state.epoch:
            save_model(out, trainer.model, trainer.config, metadata)
        write_history(out, state.history, names)
        board.add(state.history[-1])
        on_epoch(state)
        if live and not state.gate_live:
            progress.note("The gate has begun to overfit: it is frozen at its best; segmentation goes on.")
    board.close()
    trainer.set_weights(_without("best/", kept))
    save_model(out, trainer.model, trainer.config, metadata)
    return _finish(trainer, state, data, out, manifest)


def _show_start(state: RunState, data: TrainData, out: Path, progress: Progress) -> Step:
    """Begin the stage of all steps that are left, and note where a run continues."""
    recipe = state.recipe
    if state.finished:
        progress.note(f"{out} is finished; --restart trains it anew.")
    elif state.epoch:
        progress.note(f"The run continues after epoch {state.epoch} (best so far: {state.best_epoch}).")
    epochs = 0 if state.finished else recipe.epochs - state.epoch
    steps = epochs * steps_per_epoch(len(data.train.images), recipe.batch_size)
    return progress(f"Train on {training_device()}, {recipe.epochs} epochs at most", steps)


def _check(recipe: TrainRecipe, data: TrainData) -> None:
    if recipe.channels is None or recipe.labels is None:
        raise ConfigError("the recipe leaves channels or labels open", mend="Complete it with training.prepare.complete.")
    shape = trained = (*recipe.size, recipe.channels)
    for arrays in (data.train, data.validation, data.test):
        shape = shape if arrays is None else arrays.images.shape[1:]
        if shape != trained:
            raise ConfigError(f"the images are {shape}, but the recipe says {trained} (height, width, channels)")
    if not (data.validation.labels > 0).any():
        raise DataError("no validation mask has any foreground, so no epoch could be called the best")


def _open(recipe: TrainRecipe, data: TrainData, out: Path, *, restart: bool) -> tuple[Trainer, Checkpoint]:
    """Return a fresh trainer, or the one that the run folder's checkpoint describes, and that checkpoint."""
    digest = fingerprint(data.train, data.validation)
    found = None if restart else load_checkpoint(out)
    if found is not None:
        check_same_run(out, found.state, recipe, digest)
    trainer = Trainer(recipe)
    if found is None:
        return trainer, Checkpoint(RunState(recipe, digest), {})
    try:
        trainer.restore(found.tensors)
    except (KeyError, ValueError) as error:
        raise ArtifactError(
            f"{out / RESUME} does not fit the network of its own recipe ({error})", mend="Start anew with --restart."
        ) from error
    return trainer, found


def _epoch(trainer: Trainer, state: RunState, data: TrainData, step: Step) -> EpochRecord:
    """Train one epoch and evaluate it."""
    began, recipe, epoch = time.monotonic(), trainer.recipe, state.epoch + 1
    steps = steps_per_epoch(len(data.train.images), recipe.batch_size)
    live, losses, rate = state.gate_live, [], 0.0
    batches = training_batches(data.train, recipe.augmentation, recipe.batch_size, recipe.seed, epoch)
    for number, (images, labels) in enumerate(batches, start=1):
        done = state.epoch * steps + number - 1
        rate = learning_rate(done, recipe.epochs * steps, recipe.warmup_epochs * steps, recipe.learning_rate)
        loss, gate_loss = trainer.train_step(images, labels, rate, done, train_gate=live)
        if not math.isfinite(loss + gate_loss):
            raise ModelError(
                f"the loss is not finite at epoch {epoch}, step {number}",
                mend=f"Start anew with --restart and an --lr below {recipe.learning_rate:g}; the best model so far is kept.",
            )
        losses.append(loss)
        step(f"epoch {epoch}/{recipe.epochs}  step {number}/{steps}  loss {loss:.4f}")
    found = evaluate(trainer, data.validation)
    return EpochRecord(
        epoch=epoch,
        learning_rate=rate,
        train_loss=float(np.mean(losses)),
        validation_loss=found.loss,
        dice=optional(found.dice),
        mean_dice=found.mean_dice,
        gate_loss=found.gate_loss,
        gate_accuracy=found.gate_accuracy,
        gate_trained=live,
        seconds=time.monotonic() - began,
    )


def keep(trainer: Trainer, state: RunState, kept: Tensors) -> Tensors:
    """Return weights to keep after an epoch: the best network's ("best/"), and the best gate's while it is trained ("gate/").

    When the gate has just overfitted, its best weights are put back first, for good.
    """
    if state.history[-1].gate_trained:
        if state.gate_best_epoch == state.epoch:
            kept = {**kept, **_with("gate/", trainer.weights(gate_only=True))}
        if not state.gate_live:
            trainer.set_weights(_without("gate/", kept), gate_only=True)
    if state.best_epoch == state.epoch:
        kept = {**kept, **_with("best/", trainer.weights())}
    return kept


def score_model(trainer: Trainer, state: RunState, data: TrainData) -> dict[str, object]:
    """Score the trainer's present weights; return what scores.json holds."""
    metadata = state.recipe.metadata()
    found: dict[str, object] = {"best_epoch": state.best_epoch, "epochs": state.epoch}
    for name, arrays in (("validation", data.validation), ("test", data.test)):
        if arrays is not None:
            found[name] = scores(evaluate(trainer, arrays), arrays, metadata)
    return found


def _finish(trainer: Trainer, state: RunState, data: TrainData, out: Path, manifest: Manifest) -> TrainResult:
    """Score the best weights and list what the run folder holds."""
    found = score_model(trainer, state, data)
    write_json(out / SCORES, found)
    manifest = manifest.without(FORMATS)
    for file, kind in FORMATS.items():
        manifest = manifest.with_artifact(describe(out / file, kind, parent=state.data))
    # An export into the same folder has written its own options there.
    options = manifest.recipe if manifest.key else state.recipe.to_json()
    write_manifest(out, dataclasses.replace(manifest, recipe=options))
    return TrainResult(out, state, found)


def _drop(out: Path) -> None:
    for name in FILES:
        (out / name).unlink(missing_ok=True)


def _with(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: array for name, array in tensors.items()}


def _without(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
