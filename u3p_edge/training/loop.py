"""Training from a recipe and data to a run folder that can be resumed after every epoch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.errors import ArtifactError, ConfigError, DataError, ModelError
from u3p_edge.files.atomic import write_json, write_text
from u3p_edge.manifest import Manifest, describe, sha256_of, write_manifest
from u3p_edge.models.store import save_model
from u3p_edge.optim.fit import fit
from u3p_edge.optim.schedule import learning_rate
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
from u3p_edge.training.epoch import TrainingRun, gradient_step, validate
from u3p_edge.training.evaluate import evaluate
from u3p_edge.training.logs import Board, scores, write_history
from u3p_edge.training.output import FILES, FORMATS, NAMES, RECIPE, SCORES, open_train_folder
from u3p_edge.training.prepare import TrainData
from u3p_edge.training.recipe import TrainRecipe
from u3p_edge.training.state import RunState
from u3p_edge.training.trainer import Trainer

OnEpoch = Callable[[RunState], object]
"""Is called with the state after an epoch, whose record is the last of its history."""


def _do_nothing(_state: RunState) -> None:
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
    on_epoch: OnEpoch = _do_nothing,
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
        manifest = open_train_folder(out, restart=restart, progress=progress)
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
    metadata = recipe.metadata(_lineage(start.state))
    write_text(out / RECIPE, recipe.to_toml())
    write_history(out, start.state.history, names)
    board = Board(out, start.state.history, names)
    steps = steps_per_epoch(len(data.train.images), recipe.batch_size)
    show = _show_start(start.state, steps, out, progress)

    def save(run: TrainingRun, best: Tensors) -> None:
        state, record = run.state, run.state.history[-1]
        tensors = {**trainer.tensors(), **_add_prefix("gate/", run.gate), **_add_prefix("best/", best)}
        save_checkpoint(out, Checkpoint(state, tensors))
        if state.best_epoch == state.epoch:
            save_model(out, trainer.model, trainer.config, metadata)
        write_history(out, state.history, names)
        board.add(record)
        on_epoch(state)
        if record.gate_trained and not state.gate_live:
            progress.note("The gate has begun to overfit: it is frozen at its best; segmentation goes on.")

    run, best = fit(
        TrainingRun(start.state, _remove_prefix("gate/", start.tensors)),
        _remove_prefix("best/", start.tensors),
        batches=lambda run: training_batches(data.train, recipe.augmentation, recipe.batch_size, recipe.seed, run.epoch + 1),
        steps=steps,
        rate=lambda step: learning_rate(step, recipe.epochs * steps, recipe.warmup_epochs * steps, recipe.learning_rate),
        step=gradient_step(trainer, recipe.freeze_epochs * steps),
        validate=lambda run, epoch: validate(trainer, run, epoch, data.validation),
        keep_best=trainer.weights,
        save=save,
        progress=lambda epoch, step, loss: show(f"epoch {epoch}/{recipe.epochs}  step {step}/{steps}  loss {loss:.4f}"),
        mend=f"Start anew with --restart and an --lr below {recipe.learning_rate:g}; the best model so far is kept.",
    )
    board.close()
    trainer.set_weights(best)
    save_model(out, trainer.model, trainer.config, metadata)
    return _finish(trainer, run.state, data, out, manifest)


def _lineage(state: RunState) -> tuple[tuple[str, str], ...]:
    """Return what a model is made from. Raises ModelError where the file of a backbone's weights is gone."""
    weights, data = state.recipe.backbone_weights, ("training data", state.data)
    try:
        return (data, ("backbone weights", sha256_of(Path(weights)))) if weights else (data,)
    except OSError as error:
        mend = "A run that goes on needs the file too, as --backbone-weights names it."
        raise ModelError(f"{weights} cannot be read: {error.strerror}", mend=mend) from error


def _show_start(state: RunState, steps: int, out: Path, progress: Progress) -> Step:
    """Begin the stage of all epochs that are left, of `steps` steps each, and note where a run continues."""
    recipe = state.recipe
    if state.finished:
        progress.note(f"{out} is finished; --restart trains it anew.")
    elif state.epoch:
        progress.note(f"The run continues after epoch {state.epoch} (best so far: {state.best_epoch}).")
    epochs = 0 if state.finished else recipe.epochs - state.epoch
    return progress(f"Train on {training_device()}, {recipe.epochs} epochs at most", epochs * steps)


def _check(recipe: TrainRecipe, data: TrainData) -> None:
    if recipe.channels is None or recipe.labels is None:
        raise ConfigError("the recipe leaves channels or labels open", mend="Complete it with training.prepare.complete.")
    shape = trained = (*recipe.size, recipe.preprocessing().channels)
    for arrays in (data.train, data.validation, data.test):
        shape = shape if arrays is None else arrays.images.shape[1:]
        if shape != trained:
            raise ConfigError(f"the images are {shape}, but the recipe says {trained} (height, width, channels)")
    if not any(labels.any() for labels in data.validation.labels):
        raise DataError("no validation mask has any foreground, so no epoch could be called the best")


def _open(recipe: TrainRecipe, data: TrainData, out: Path, *, restart: bool) -> tuple[Trainer, Checkpoint]:
    """Return a fresh trainer, or the one that the run folder's checkpoint describes, and that checkpoint."""
    digest = fingerprint(data.train, data.validation)
    checkpoint = None if restart else load_checkpoint(out)
    if checkpoint is not None:
        check_same_run(out, checkpoint.state, recipe, digest)
    trainer = Trainer(recipe)
    if checkpoint is None:
        if recipe.backbone_weights:
            trainer.load_backbone(Path(recipe.backbone_weights))
        return trainer, Checkpoint(RunState(recipe, digest), {})
    try:
        trainer.restore(checkpoint.tensors)
    except (KeyError, ValueError) as error:
        raise ArtifactError(
            f"{out / RESUME} does not fit the network that its recipe describes ({error})", mend="Start anew with --restart."
        ) from error
    return trainer, checkpoint


def score_model(trainer: Trainer, state: RunState, data: TrainData) -> dict[str, object]:
    """Score the present weights on validation and test images; return the content of scores.json."""
    metadata = state.recipe.metadata()
    splits = {"validation": data.validation, "test": data.test}
    by_split = {
        name: scores(evaluate(trainer, arrays), arrays, metadata) for name, arrays in splits.items() if arrays is not None
    }
    return {"best_epoch": state.best_epoch, "epochs": state.epoch, **by_split}


def _finish(trainer: Trainer, state: RunState, data: TrainData, out: Path, manifest: Manifest) -> TrainResult:
    """Score the best weights and list what the run folder holds."""
    run_scores = score_model(trainer, state, data)
    write_json(out / SCORES, run_scores)
    manifest = manifest.without(FORMATS)
    for file, kind in FORMATS.items():
        manifest = manifest.with_artifact(describe(out / file, kind, parent=state.data))
    # An export into the same folder has written the options of the export there.
    options = manifest.recipe if manifest.key else state.recipe.to_json()
    write_manifest(out, dataclasses.replace(manifest, recipe=options))
    return TrainResult(out, state, run_scores)


def _drop(out: Path) -> None:
    for name in FILES:
        (out / name).unlink(missing_ok=True)


def _add_prefix(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: array for name, array in tensors.items()}


def _remove_prefix(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(prefix): array for name, array in tensors.items() if name.startswith(prefix)}
