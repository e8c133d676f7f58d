"""Quantization-aware fine-tuning: train the float model's int8 twin on labels and on the float model's own probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from u3p_edge.data.spread import spread_evenly
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.graph.inference import is_multi_label
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.metrics import rank_score
from u3p_edge.models.truth import check_labels, counting_pixels, fit_loss, one_hot
from u3p_edge.optim.adam import Adam
from u3p_edge.optim.fit import History, TrainedEpoch, check_keep_epoch, fit, shuffled_batches
from u3p_edge.optim.schedule import learning_rate as cosine
from u3p_edge.progress import Progress, silent
from u3p_edge.quantization.fake_quant import FakeQuantized, fake_quantize, settle_ranges
from u3p_edge.quantization.support import check_trainable

CALIBRATION_IMAGES = 64
"""How many training images set the first ranges; they are chosen evenly over the set."""


def train_qat(
    model: tf_keras.Model,
    images: np.ndarray,
    labels: np.ndarray,
    *,
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    validate: Callable[[tf_keras.Model], float],
    epochs: int = 4,
    learning_rate: float = 1e-4,
    batch_size: int = 4,
    distillation: float = 1.0,
    seed: int = 0,
    keep_zeros: bool = False,
    ranges: str | None = None,
    keep_epoch: int | None = None,
    progress: Progress = silent,
) -> FakeQuantized:
    """Fine-tune a fake-quant model for `epochs` epochs and return the best; epoch 0, which is only calibrated, competes too.

    Training minimizes mean(loss(labels, p)) + distillation * mean over images of the sum over channels of the mean (p - q)^2.
    Here p are the fake-quant model's probabilities and q the float model's (Hinton et al. 2015, arXiv:1503.02531, but with the
    squared error, which is bounded). The optimizer is Adam, its learning rate decays to zero
    with a cosine. The same arguments give the same weights, bit for bit, on the same kind of processor with the same number of
    TensorFlow's threads, however busy the machine is.

    Args:
        model: the float inference graph, as `fake_quantize` expects its graph; not changed.
        images: float32 [N, H, W, C], preprocessed.
        labels: uint8 [N, H, W], classes; `metrics.IGNORE` where a pixel does not count.
        loss: from (one-hot labels as `models.truth.one_hot` makes them, probabilities) to [N], one value for each image.
        validate: returns the score of a fake-quant model on the validation split, larger is better. It is called once before
            training and after every epoch. A score that is not a number counts as the worst.
        distillation: weight of the float model's probabilities in the loss; 0 trains on labels alone.
        seed: of the order of the images.
        keep_zeros: weights of a kernel that are exactly 0 stay 0, in the integer file too (`quantization.sparsity`).
        ranges: the method of choosing ranges; None for the best (see `fake_quantize`).
        keep_epoch: the epoch that is returned, whatever the validation says; None for the best.
        progress: shows the steps.

    Raises:
        UntrainableError: a layer cannot be trained; the message names it.
        ModelError, DataError: as `fake_quantize`, and for labels that do not fit.
        ConfigError: a setting is out of range.
    """
    channels, graph = model.output_shape[-1], from_keras(model)
    multi_label = is_multi_label(graph)
    _check(images, labels, epochs, learning_rate, batch_size, distillation)
    check_labels(labels, channels, multi_label)
    check_keep_epoch(keep_epoch, epochs)
    check_trainable(graph)
    start = fake_quantize(graph, images[spread_evenly(len(images), CALIBRATION_IMAGES)], ranges=ranges)
    student = start.model
    steps = math.ceil(len(images) / batch_size)
    update = _update(start, model, fit_loss(loss, multi_label), distillation, keep_zeros)
    show = progress("Train under fake quantization", epochs * steps)

    def step(_history: History, batch: npt.NDArray[np.intp], rate: float, number: int) -> float:
        # Clipped as in the integer file: one outlier would widen the moving range of every map behind the input.
        clipped = np.clip(images[batch], *start.input_range)
        truth = one_hot(tf.constant(labels[batch]), channels, multi_label)
        return float(update(tf.constant(clipped), truth, tf.constant(rate), tf.constant(number, tf.int64)))

    def score(history: History, epoch: TrainedEpoch) -> History:
        settle_ranges(student)
        return history.after(epoch.loss, validate(student))

    history, best = fit(
        History(epochs, (rank_score(float(validate(student))),), keep_epoch=keep_epoch),
        student.get_weights(),
        batches=lambda history: shuffled_batches(len(images), batch_size, seed, history.epoch + 1),
        steps=steps,
        rate=lambda number: cosine(number, epochs * steps, 0, learning_rate),
        step=step,
        validate=score,
        keep_best=student.get_weights,
        progress=lambda _epoch, _step, _loss: show(),
    )
    student.set_weights(best)
    return replace(start, epoch=history.best_epoch)


def _update(
    fake: FakeQuantized,
    model: tf_keras.Model,
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    distillation: float,
    keep_zeros: bool,
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return one update of the student as a compiled function, from (images, labels, learning rate, step) to the loss."""
    student, variables = fake.model, fake.trained
    adam = Adam(variables, weight_decay=0.0)
    kept = _nonzeros(variables) if keep_zeros else []
    # The batch size is left open, so that one trace also serves the last, smaller batch. TensorFlow then also sums gradients of
    # several branches in a fixed order (with all shapes known it may sum them in the order in which they become ready).
    batch = [tf.TensorSpec((None, *shape[1:]), tf.float32) for shape in (student.input_shape, student.output_shape)]
    position = [tf.TensorSpec(()), tf.TensorSpec((), tf.int64)]

    @tf.function(input_signature=batch + position)  # type: ignore[untyped-decorator]  # TensorFlow is not followed
    def update(images: tf.Tensor, labels: tf.Tensor, rate: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        soft = model(images, training=False) if distillation else None
        with tf.GradientTape() as tape:
            predicted = student(images, training=True)
            value = tf.reduce_mean(loss(labels, predicted))
            if soft is not None:
                squared = tf.reduce_sum(tf.math.squared_difference(predicted, soft), axis=-1)
                value += distillation * tf.reduce_mean(squared * counting_pixels(labels)[..., 0])
        adam.apply(tape.gradient(value, variables), variables, rate, number)
        for kernel, mask in kept:
            kernel.assign(kernel * mask)
        return value

    return update  # type: ignore[no-any-return]  # TensorFlow is not followed


def _nonzeros(variables: Sequence[tf.Variable]) -> list[tuple[tf.Variable, tf.Tensor]]:
    """Return every kernel that has a zero, with a mask that is 0 where the kernel is 0, and 1 elsewhere."""
    kernels = [variable for variable in variables if len(variable.shape) == 4]
    pairs = [(kernel, tf.cast(kernel != 0, kernel.dtype)) for kernel in kernels]
    return [(kernel, mask) for kernel, mask in pairs if not tf.reduce_all(mask == 1)]


def _check(
    images: np.ndarray,
    labels: np.ndarray,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    distillation: float,
) -> None:
    if images.ndim != 4 or labels.shape != images.shape[:3] or len(images) == 0:
        raise DataError(f"QAT wants as many labels as images, of their size: images {images.shape}, labels {labels.shape}")
    if epochs < 0 or batch_size < 1 or not learning_rate > 0 or not distillation >= 0:
        raise ConfigError(
            f"QAT cannot train with epochs {epochs}, batch size {batch_size}, learning rate {learning_rate} and "
            f"distillation {distillation}"
        )
