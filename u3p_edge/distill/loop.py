"""Fine-tune a pruned network on labels and on the float model's probabilities.

    loss of an image = Dice + cross-entropy with its labels
                     + distillation * divergence from the teacher probabilities (Hinton et al. 2015, arXiv:1503.02531)
                     + features * distance of the decoders' attention maps      (Zagoruyko and Komodakis 2017, arXiv:1612.03928)

The teacher costs many times what the student does. So its probabilities are computed once, for the images without augmentation,
and the same augmentation then moves them along with image and labels. The teacher does not see how augmentation changes
intensities: the student has to give the teacher's answer for the unchanged image under all such changes. Only attention maps
need the teacher at every step.

A gate is a part of the inference graph, so the probabilities are the gated ones, and training reaches the gate too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from u3p_edge.data.disk_arrays import empty_array
from u3p_edge.data.load import Arrays
from u3p_edge.distill.checkpoint import CHECKPOINT, Saved, load_state, save_state, state_key
from u3p_edge.distill.student import FinetuneConfig, Student, assign
from u3p_edge.errors import DataError, ModelError
from u3p_edge.graph.inference import is_multi_label
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.metrics import highest_label, rank_score
from u3p_edge.models.truth import fits_mask
from u3p_edge.optim.fit import History, fit
from u3p_edge.optim.schedule import learning_rate
from u3p_edge.progress import Progress, Step, idle, silent
from u3p_edge.training.checkpoint import Tensors
from u3p_edge.training.dataset import soft_batches, steps_per_epoch

__all__ = ["CHECKPOINT", "FinetuneConfig", "FinetuneResult", "finetune", "teacher_probabilities"]

TEACHER_BATCH = 8
"""Images that the teacher sees at a time."""

_Batch = tuple[tf.Tensor, tf.Tensor, tf.Tensor]


@dataclass(frozen=True)
class FinetuneResult:
    """The result of fine-tuning.

    Args:
        model: the student with the weights of the best epoch.
        losses: of each epoch, mean over its steps.
        scores: validation scores before training and after each epoch; one that is not a number counts as the worst, -inf.
        best_epoch: the first with the highest score, or `config.keep_epoch`; 0 is the student before fine-tuning.
    """

    model: tf_keras.Model
    losses: tuple[float, ...]
    scores: tuple[float, ...]
    best_epoch: int


@dataclass(frozen=True)
class _Run:
    """What does not change in a run."""

    graph: Graph
    arrays: Arrays
    soft: npt.NDArray[Any]
    config: FinetuneConfig
    validate: Callable[[tf_keras.Model], float]
    folder: Path
    key: str


def teacher_probabilities(
    teacher: tf_keras.Model, images: npt.NDArray[np.float32], step: Step = idle
) -> npt.NDArray[np.float16]:
    """Return the teacher probabilities of every image: float16 [N, H, W, K]; on disk where they do not fit into memory.

    Args:
        teacher: one input [N, H, W, C], one output of probabilities.
        images: float32 [N, H, W, C], preprocessed.
        step: called after each image.

    Raises:
        DataError: images that do not fit the teacher.
    """
    _check_images(teacher, images)
    ask = tf.function(lambda batch: teacher(batch, training=False), input_signature=[tf.TensorSpec((None, *images.shape[1:]))])
    masks = empty_array((*images.shape[:3], teacher.output_shape[-1]), np.float16)
    for start in range(0, len(images), TEACHER_BATCH):
        part = slice(start, start + TEACHER_BATCH)
        masks[part] = ask(tf.constant(images[part])).numpy()
        for _ in images[part]:
            step()
    return masks


def finetune(
    student: tf_keras.Model,
    arrays: Arrays,
    soft: npt.NDArray[Any] | None,
    config: FinetuneConfig,
    *,
    validate: Callable[[tf_keras.Model], float],
    folder: Path,
    progress: Progress = silent,
    teacher: tf_keras.Model | None = None,
) -> FinetuneResult:
    """Fine-tune a student, or continue where an earlier call with the same arguments was killed.

    After every epoch `folder` holds all that is needed to continue (`CHECKPOINT`) to bit-identical weights on the same machine.
    After a finished run it holds the result.

    Args:
        student: functional inference graph, one input [N, H, W, C], one output of probabilities [N, H, W, K] (a sigmoid of each
            class, or a softmax), batch normalisation and gate inside it or not; not changed.
        arrays: training images and labels.
        soft: floating [N, H, W, K], from `teacher_probabilities`; None where `config.distillation` is 0.
        config: the options of fine-tuning.
        validate: score of a model on the validation split, larger is better; called before training and after every epoch.
        folder: of this run alone.
        progress: shows the steps.
        teacher: needed where `config.features` is above 0, with the same input.

    Raises:
        ModelError: a student of another form, one with a layer that draws at random, or a loss that is not finite.
        DataError: images, labels or teacher probabilities that do not fit. ConfigError: features without a teacher's decoder.
        ArtifactError: `folder` holds another run, or cannot be read or written.
    """
    graph = _graph(student)
    masks = _checked(student, arrays, soft, config, is_multi_label(graph))
    teacher_weights = teacher.get_weights() if config.features and teacher is not None else []
    key = state_key(config, graph, (arrays.images, arrays.labels, masks, *teacher_weights))
    run = _Run(graph, arrays, masks, config, validate, folder, key)
    saved = load_state(folder, key, config.epochs, config.keep_epoch)
    if saved is not None and saved.history.finished:
        history, best = saved.history, saved.best
    else:
        history, best = _train(run, Student(graph, config, teacher), saved, progress)
    model = to_keras(graph)
    assign(model, best)
    return FinetuneResult(model, history.losses, history.scores, history.best_epoch)


def _train(run: _Run, student: Student, saved: Saved | None, progress: Progress) -> tuple[History, Tensors]:
    """Train all epochs that are left; return the history and the best weights."""
    config, steps = run.config, steps_per_epoch(len(run.arrays.images), run.config.batch_size)

    def save(history: History, best: Tensors) -> None:
        save_state(run.folder, run.key, Saved(history, student.weights(), student.moments(), best))

    def step(_history: History, batch: _Batch, rate: float, number: int) -> float:
        return student.train_step(*batch, rate, number)

    if saved is None:
        start = rank_score(float(run.validate(student.model)))
        history, best = History(config.epochs, (start,), keep_epoch=config.keep_epoch), student.weights()
        save(history, best)
    else:
        history, best = saved.history, saved.best
        student.restore(saved.weights, saved.moments)
    show = progress("Fine-tune by distillation", (config.epochs - history.epoch) * steps)
    return fit(
        history,
        best,
        batches=lambda history: soft_batches(
            run.arrays, run.soft, config.augmentation, config.batch_size, config.seed, history.epoch + 1
        ),
        steps=steps,
        rate=lambda step: learning_rate(step, config.epochs * steps, round(config.warmup * steps), config.learning_rate),
        step=step,
        validate=lambda history, epoch: history.after(epoch.loss, run.validate(student.model)),
        keep_best=student.weights,
        save=save,
        progress=lambda _epoch, _step, _loss: show(),
        mend=f"Fine-tune with a learning_rate below {config.learning_rate:g}.",
    )


def _graph(student: tf_keras.Model) -> Graph:
    """Return the student as a graph; raise ModelError where training could not be resumed at any epoch."""
    graph = from_keras(student)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise ModelError(
            f"the student has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, not one of each",
            mend="Hand over its inference graph.",
        )
    for node in graph.nodes:
        if node.kind.is_identity and node.op != "identity":
            # Keras counts the calls of such layers, and a resumed run could not continue the count.
            raise ModelError(f"{node.name!r} ({node.op}) draws at random in training", mend="Hand over the inference graph.")
    return graph


def _check_images(model: tf_keras.Model, images: npt.NDArray[np.float32]) -> None:
    if not len(images) or images.shape[1:] != model.input_shape[1:]:
        wanted = ", ".join(map(str, model.input_shape[1:]))
        raise DataError(f"the model {model.name!r} wants images [N, {wanted}], and they are {images.shape}")


def _checked(
    student: tf_keras.Model, arrays: Arrays, soft: npt.NDArray[Any] | None, config: FinetuneConfig, multi_label: bool
) -> npt.NDArray[Any]:
    """Check that the arguments fit; return the teacher probabilities, with no channel where they have no weight."""
    _check_images(student, arrays.images)
    channels, size = student.output_shape[-1], arrays.images.shape[:3]
    highest = highest_label(arrays.labels)
    if arrays.labels.shape != size or not fits_mask(highest, channels, multi_label):
        raise DataError(
            f"the labels {arrays.labels.shape}, up to {highest}, do not fit images {arrays.images.shape} and "
            f"a mask of {channels} channels"
        )
    if not config.distillation:
        return np.zeros((*size, 0), np.float16)
    if soft is None or soft.shape != (*size, channels) or not np.issubdtype(soft.dtype, np.floating):
        given = "none" if soft is None else f"{soft.dtype} {soft.shape}"
        raise DataError(
            f"the teacher probabilities must be floating {(*size, channels)}, and they are {given}",
            mend="Make them by teacher_probabilities.",
        )
    return soft
