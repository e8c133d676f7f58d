"""Sparsity by magnitude pruning of single weights (Zhu and Gupta 2017, arXiv:1710.01878) with TFMOT: for a smaller compressed
file.

Zeros make no kernel faster, neither in LiteRT nor in ONNX Runtime, and the uncompressed file is as long as before. What shrinks
is the file in a compressed download or package (`gzip_bytes`). Dropping whole channels is what saves milliseconds
(`u3p_edge.pruning`).

    float model, folded and rewritten ─ wrap ─► TFMOT's wrappers ─ train, masks growing ─ unwrap ─► the same layers, with zeros

Rewriting comes first: a kernel that a rewrite mixes from sparse ones (for Winograd, or as factors of a low rank) would be dense
again.

The kernels that are pruned, and their biases, are trained. Layers that are left out keep every weight bit for bit. These are:

    the first convolution, the head    those with no convolution before or behind them; a rewritten graph may have several. They
                                       have few weights, and they alone see the image or make the mask.
    kernels of less than LEAST         at most a kilobyte is at stake
    kernels that are half zeros        fixed by what made them: interpolation weights between neighbours (`one_interpolation`),
                                       columns moved into channels, or a normalisation as a convolution of its own. All of them
                                       are diagonal in blocks; training would fill in their zeros. A kernel that was pruned
                                       before is left unchanged for the same reason.

The last are recognised by their numbers, not by their names, because a user may have given such a name to a layer. Trained
kernels have hardly any exact zeros. A fixed kernel too small to be half zeros (one or two channels) is smaller than LEAST. A
kernel of columns with more than five taps in groups of four is less than half zeros; it is pruned like others, its own zeros
first.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from u3p_edge.errors import ArtifactError, DataError, ModelError
from u3p_edge.graph.fold import is_convolution
from u3p_edge.graph.inference import is_multi_label
from u3p_edge.graph.ir import Graph, Node, ancestors
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.metrics import rank_score
from u3p_edge.models.truth import check_labels, fit_loss, one_hot
from u3p_edge.optim.adam import Adam
from u3p_edge.optim.fit import History, TrainedEpoch, check_keep_epoch, fit, shuffled_batches
from u3p_edge.optim.schedule import learning_rate
from u3p_edge.progress import Progress, silent
from u3p_edge.quantization.sparsity import Sparsity

Validate = Callable[[tf_keras.Model], float]

LEAST = 1024
"""Kernels with fewer weights are not pruned."""

FIXED = 0.5
"""A kernel with at least this share of zeros was made with them."""

UPDATES = 10
"""About how many times the masks grow. Each time, every kernel is sorted, which for millions of weights takes longer than a
training step."""

_tfmot = tfmot.sparsity.keras


@dataclass(frozen=True)
class SparseModel:
    """The result of `sparsify`.

    Args:
        model: with the names, shapes and settings of the given one; pruned weights are exactly 0.
        epoch: of training, from 1; 0 is pruned without training.
    """

    model: tf_keras.Model
    epoch: int


def sparsify(
    model: tf_keras.Model,
    images: npt.NDArray[np.float32],
    labels: npt.NDArray[np.uint8],
    sparsity: Sparsity,
    *,
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    validate: Validate,
    seed: int = 0,
    keep_epoch: int | None = None,
    progress: Progress = silent,
) -> SparseModel:
    """Return the model with zeros in its kernels, fine-tuned on labels.

    Unstructured masks grow over the first half of the steps, fast at first (Zhu and Gupta's cubic schedule from half the
    share), then stay fixed. The 2:4 masks are those of the first step. The best result by `validate` is kept: among the epochs
    that end with the whole share of zeros, and pruning without training. So training never makes the result worse.

    Args:
        model: functional tf_keras inference graph [N, H, W, C] to [N, H, W, K]. It should be folded, or else magnitudes are
            compared before the normalisation's scale. Normalisations that are left keep their statistics. Not changed.
        images: float32 [N, H, W, C], preprocessed.
        labels: uint8 [N, H, W], classes; `metrics.IGNORE` where a pixel does not count.
        loss: from (one-hot labels as `models.truth.one_hot` makes them, probabilities) to [N], one value for each image.
        validate: returns the score of a plain model, larger is better; NaN counts as the worst. The model that it gets changes
            afterwards.
        seed: of the order of the images.
        keep_epoch: the epoch that is returned, whatever the validation says; None for the best.
        progress: shows the steps.

    Raises:
        ConfigError: there is no such epoch.
        ModelError: no convolution can be pruned, or a layer cannot be read.
        DataError: the labels do not fit the images, or the mask has no such class.
    """
    if images.ndim != 4 or labels.shape != images.shape[:3] or len(images) == 0:
        raise DataError(f"pruning wants as many labels as images, of their size: images {images.shape}, labels {labels.shape}")
    channels, graph = model.output_shape[-1], from_keras(model)
    multi_label = is_multi_label(graph)
    check_labels(labels, channels, multi_label)
    names = prunable(graph, sparsity)
    if not names:
        raise ModelError(
            f"the model {model.name!r} has no convolution that can be pruned",
            mend=f"It needs one between its first and its head with {LEAST} weights, fewer than half of them zero.",
        )
    epochs, steps = sparsity.epochs, math.ceil(len(images) / sparsity.batch_size)
    schedule, complete = _schedule(sparsity, epochs * steps)
    wrapped = _wrapped(graph, names, schedule, sparsity)
    plain = _tfmot.strip_pruning(wrapped)  # shares its weights
    callback = _tfmot.UpdatePruningStep()
    callback.set_model(wrapped)
    callback.on_train_begin()
    dense = wrapped.get_weights()
    _prune_now(wrapped, complete)
    check_keep_epoch(keep_epoch, epochs)
    untrained = History(epochs, (rank_score(float(validate(plain))),), keep_epoch=keep_epoch)
    best = _weights(plain, names)
    wrapped.set_weights(dense)
    update = _update(wrapped, fit_loss(loss, multi_label))
    show = progress("Train with zeros", epochs * steps)

    def step(_history: History, batch: npt.NDArray[np.intp], rate: float, number: int) -> float:
        position = tf.constant(rate), tf.constant(number, tf.int64)
        truth = one_hot(tf.constant(labels[batch]), channels, multi_label)
        return float(update(tf.constant(images[batch]), truth, *position))

    def score(history: History, epoch: TrainedEpoch) -> History:
        callback.on_epoch_end(history.epoch)
        whole = (history.epoch + 1) * steps >= complete
        return history.after(epoch.loss, validate(plain) if whole else -math.inf)

    history, best = fit(
        untrained,
        best,
        batches=lambda history: shuffled_batches(len(images), sparsity.batch_size, seed, history.epoch + 1),
        steps=steps,
        rate=lambda number: learning_rate(number, epochs * steps, 0, sparsity.learning_rate),
        step=step,
        validate=score,
        keep_best=lambda: _weights(plain, names),
        progress=lambda _epoch, _step, _loss: show(),
    )
    made = to_keras(replace(graph, nodes=tuple(_with_weights(node, best) for node in graph.nodes)))
    return SparseModel(made, history.best_epoch)


def prunable(graph: Graph, sparsity: Sparsity) -> tuple[str, ...]:
    """Return the convolutions whose kernels are pruned, in the graph's order; the module docstring says which are not."""
    convs = [node for node in graph.nodes if is_convolution(node)]
    # A first convolution has no other convolution in its past; a head is in the past of no other convolution.
    past = {node.name: {conv.name for conv in convs} & ancestors(graph, *node.inputs) for node in convs}
    read = frozenset[str]().union(*past.values())
    return tuple(
        node.name
        for node in convs
        if node.op == "conv" and past[node.name] and node.name in read and _worth_it(node.weights["kernel"], sparsity)
    )


def masks(model: tf_keras.Model) -> Mapping[str, npt.NDArray[np.bool_]]:
    """Return where the kernels of a plain model's convolutions are zero: bool [h, w, I, O] by layer."""
    return MappingProxyType(
        {node.name: node.weights["kernel"] == 0 for node in from_keras(model).nodes if is_convolution(node)}
    )


def gzip_bytes(file: Path | bytes) -> int:
    """Return the size of a file, or of its content, after gzip at level 9. Raises ArtifactError if it cannot be read."""
    if isinstance(file, bytes):
        return len(gzip.compress(file, compresslevel=9, mtime=0))
    try:
        return gzip_bytes(file.read_bytes())
    except OSError as error:
        raise ArtifactError(f"{file} cannot be read: {error.strerror}") from error


def _worth_it(kernel: npt.NDArray[np.float32], sparsity: Sparsity) -> bool:
    enough = kernel.size >= LEAST and (sparsity.pattern != "2:4" or kernel.shape[2] >= 4)
    return enough and float((kernel == 0).mean()) < min(FIXED, sparsity.share)


def _schedule(sparsity: Sparsity, steps: int) -> tuple[Any, int]:
    """Return TFMOT's schedule, and the step, counted from 1, from which on the masks are complete and stay fixed."""
    growing = max(0, steps // 2 - 1) if sparsity.pattern == "unstructured" else 0
    every = max(1, growing // UPDATES)
    last = 1 + growing // every * every
    if last == 1:
        return _tfmot.ConstantSparsity(sparsity.share, begin_step=1, end_step=1, frequency=1), last
    return _tfmot.PolynomialDecay(sparsity.share / 2, sparsity.share, begin_step=1, end_step=last, frequency=every), last


def _wrapped(graph: Graph, names: tuple[str, ...], schedule: Any, sparsity: Sparsity) -> tf_keras.Model:
    """Return a copy with TFMOT's wrapper around the layers `names`; only these can be trained."""
    options = {"sparsity_m_by_n": (2, 4)} if sparsity.pattern == "2:4" else {}

    def wrap(layer: Any) -> Any:
        # A normalisation that cannot be trained keeps its statistics in a training step too.
        layer.trainable = layer.name in names
        return _tfmot.prune_low_magnitude(layer, schedule, **options) if layer.name in names else layer

    return tf_keras.models.clone_model(to_keras(graph), clone_function=wrap)


def _prune_now(wrapped: tf_keras.Model, step: int) -> None:
    """Prune as in the given step of the schedule, without training."""
    for layer in wrapped.layers:
        if isinstance(layer, tf_keras.layers.Wrapper):
            layer.pruning_step.assign(step)
            layer.pruning_obj.conditional_mask_update()
            layer.pruning_obj.weight_mask_op()


def _update(
    wrapped: tf_keras.Model, loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
) -> Callable[[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return one update as a compiled function, from (images, labels, learning rate, step) to the loss.

    The wrappers count the step, grow their masks and apply them in the forward pass. So after an update, pruned weights are one
    update away from zero, until the next update or the end of the epoch.
    """
    variables = wrapped.trainable_variables
    adam = Adam(variables, weight_decay=0.0)
    # The batch size is left open for the last, smaller batch, as in `finetune`.
    batch = [tf.TensorSpec((None, *shape[1:]), tf.float32) for shape in (wrapped.input_shape, wrapped.output_shape)]
    position = [tf.TensorSpec(()), tf.TensorSpec((), tf.int64)]

    @tf.function(input_signature=batch + position)  # type: ignore[untyped-decorator]  # TensorFlow is not followed
    def update(images: tf.Tensor, labels: tf.Tensor, rate: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(labels, wrapped(images, training=True)))
        adam.apply(tape.gradient(value, variables), variables, rate, number)
        return value

    return update  # type: ignore[no-any-return]  # TensorFlow is not followed


Weights = Mapping[str, Mapping[str, npt.NDArray[np.float32]]]


def _weights(plain: tf_keras.Model, names: tuple[str, ...]) -> Weights:
    """Return kernel and bias of the layers `names`."""
    layers = {name: plain.get_layer(name) for name in names}
    # A masked negative weight is -0.0; adding 0.0 makes it the zero whose bytes are all zero.
    return {
        name: {"kernel": layer.kernel.numpy() + 0.0, **({} if layer.bias is None else {"bias": layer.bias.numpy()})}
        for name, layer in layers.items()
    }


def _with_weights(node: Node, trained: Weights) -> Node:
    return replace(node, weights=trained[node.name]) if node.name in trained else node
