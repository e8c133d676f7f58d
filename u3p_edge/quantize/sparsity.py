"""Magnitude pruning of single weights (Zhu and Gupta 2017, arXiv:1710.01878) with TFMOT: for the size of a compressed file.

Zeros make no kernel faster, neither in LiteRT nor in ONNX Runtime, and the file as it lies on a disk is as long as before; what
shrinks is the file in a compressed download or package (`gzip_bytes`). What shortens milliseconds is dropping whole channels
(`u3p_edge.prune`).

    float model, folded and rewritten ─ wrap ─► TFMOT's wrappers ─ train, masks growing ─ strip ─► the same layers, with zeros

Rewriting comes before: a kernel that a rewrite mixes from sparse ones (Winograd's, a low rank's factors) would be dense again.

What is left out keeps every weight bit for bit; the kernels that are pruned, and their biases, are trained.

    the first convolution, the head    those with no convolution before or behind them, in a rewritten graph several: they have
                                       few weights and see the image, or make the mask, alone
    kernels of less than LEAST         at most a kilobyte is at stake
    kernels that are half zeros        fixed by what made them: interpolation weights between neighbours (`one_interpolation`),
                                       columns laid into channels, a normalisation that stands alone, all of them diagonal in
                                       blocks; training would fill in their zeros. A kernel that was pruned before is left
                                       as it is for the same reason.

The last are told by their numbers, not by names, which a user may have given to a layer too: trained kernels hold hardly any
exact zero. A fixed kernel too small to be half zeros (one or two channels) is smaller than LEAST; one of columns with more
than five taps in groups of four is less than half zeros and is pruned like others, its own zeros first.
"""

from __future__ import annotations

import gzip
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras

from u3p_edge.errors import ArtifactError, ConfigError, DataError, ModelError
from u3p_edge.graph.fold import CONVOLUTIONS
from u3p_edge.graph.ir import Graph, Node, ancestors
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.metrics import ranked
from u3p_edge.quantize.zeros import Zeros

Validate = Callable[[tf_keras.Model], float]

LEAST = 1024
"""Kernels of fewer weights are not pruned."""

FIXED = 0.5
"""A kernel with at least this share of zeros was made with them."""

UPDATES = 10
"""About how often the masks grow: each time every kernel is sorted, which for millions of weights takes longer than a step."""

_tfmot = tfmot.sparsity.keras


@dataclass(frozen=True)
class Sparsity(Zeros):
    """How to prune: which weights, for how many epochs, and how they are trained.

    Args:
        learning_rate: of Adam at its start; it decays to zero with a cosine.
        batch_size: in images.
        seed: of the order of the images.

    Raises:
        ConfigError: a value that cannot be.
    """

    learning_rate: float = 1e-4
    batch_size: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size < 1 or not self.learning_rate > 0 or self.seed < 0:
            raise ConfigError(
                f"pruning cannot train with batch size {self.batch_size}, learning rate {self.learning_rate} and "
                f"seed {self.seed}"
            )


def sparsify(
    model: tf_keras.Model,
    images: npt.NDArray[np.float32],
    labels: npt.NDArray[np.float32],
    sparsity: Sparsity,
    *,
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    validate: Validate,
    progress: Callable[[int, int], None] | None = None,
) -> tf_keras.Model:
    """The model with zeros in its kernels, fine-tuned on labels.

    Unstructured masks grow over the first half of the steps, fast at first (Zhu and Gupta's cubic schedule from half the
    share), then stay; the 2:4 masks are those of the first step. Kept is the best by `validate` of the epochs that end with
    the whole share, and of pruning without training, so training never makes it worse.

    Args:
        model: functional tf_keras inference graph [N, H, W, C] to [N, H, W, K], folded, else magnitudes are compared before
            the normalisation's scale; normalisations that are left keep their statistics. Not changed.
        images: float32 [N, H, W, C], preprocessed.
        labels: float32 [N, H, W, K], one-hot (K = 1: 0/1), as `loss` wants them.
        loss: (labels, probabilities) to [N], one an image.
        validate: score of a plain model, larger is better; NaN counts as the worst. The model it is given changes afterwards.
        progress: called with (steps done, steps in all) after every step.

    Returns:
        A model of its own with the names, shapes and settings of the given one; pruned weights are exactly 0.

    Raises:
        ModelError: no convolution that can be pruned, or a layer that cannot be read. DataError: labels that do not fit.
    """
    if images.ndim != 4 or labels.ndim != 4 or labels.shape[:3] != images.shape[:3] or len(images) == 0:
        raise DataError(f"pruning wants as many labels as images, of their size: images {images.shape}, labels {labels.shape}")
    graph = from_keras(model)
    names = prunable(graph, sparsity)
    if not names:
        raise ModelError(
            f"the model {model.name!r} has no convolution that can be pruned",
            mend=f"It needs one between its first and its head with {LEAST} weights, fewer than half of them zero.",
        )
    steps = math.ceil(len(images) / sparsity.batch_size)
    schedule, settled = _schedule(sparsity, sparsity.epochs * steps)
    wrapped = _wrapped(graph, names, schedule, sparsity)
    plain = _tfmot.strip_pruning(wrapped)  # shares its weights
    callback = _tfmot.UpdatePruningStep()
    callback.set_model(wrapped)
    callback.on_train_begin()
    dense = wrapped.get_weights()
    _prune_now(wrapped, settled)
    best_score, best = ranked(float(validate(plain))), _weights(plain, names)
    wrapped.set_weights(dense)
    train_step = _train_step(wrapped, loss, sparsity.learning_rate, sparsity.epochs * steps)
    for epoch, batches in enumerate(_epochs(len(images), sparsity)):
        for step, batch in enumerate(batches, start=epoch * steps + 1):
            train_step(tf.constant(images[batch]), tf.constant(labels[batch]))
            if progress is not None:
                progress(step, sparsity.epochs * steps)
        callback.on_epoch_end(epoch)
        if (epoch + 1) * steps >= settled and (score := float(validate(plain))) > best_score:
            best_score, best = score, _weights(plain, names)
    return to_keras(replace(graph, nodes=tuple(_with_weights(node, best) for node in graph.nodes)))


def prunable(graph: Graph, sparsity: Sparsity) -> tuple[str, ...]:
    """The convolutions whose kernels are pruned, in the graph's order; the module docstring says which are not."""
    convs = [node for node in graph.nodes if node.op in CONVOLUTIONS]
    # With nothing but itself among what it is computed from, it is a first one; a head is in nobody's past but its own.
    past = {node.name: {conv.name for conv in convs} & ancestors(graph, *node.inputs) for node in convs}
    read = frozenset[str]().union(*past.values())
    return tuple(
        node.name
        for node in convs
        if node.op == "conv" and past[node.name] and node.name in read and _worth_it(node.weights["kernel"], sparsity)
    )


def masks(model: tf_keras.Model) -> Mapping[str, npt.NDArray[np.bool_]]:
    """Where the kernels of a plain model's convolutions are zero: bool [h, w, I, O] by layer."""
    return MappingProxyType(
        {node.name: node.weights["kernel"] == 0 for node in from_keras(model).nodes if node.op in CONVOLUTIONS}
    )


def share_of(zeros: Mapping[str, npt.NDArray[np.bool_]]) -> float:
    """The share, 0..1, of all weights of `masks` that are zero; 0 where there are none."""
    return sum(int(mask.sum()) for mask in zeros.values()) / max(1, sum(mask.size for mask in zeros.values()))


def gzip_bytes(file: Path | bytes) -> int:
    """Size of a file, or of its content, after gzip at level 9. Raises ArtifactError for one that cannot be read."""
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
    """TFMOT's schedule, and the step, counted from 1, from which on the masks are whole and stay."""
    growing = max(0, steps // 2 - 1) if sparsity.pattern == "unstructured" else 0
    every = max(1, growing // UPDATES)
    last = 1 + growing // every * every
    if last == 1:
        return _tfmot.ConstantSparsity(sparsity.share, begin_step=1, end_step=1, frequency=1), last
    return _tfmot.PolynomialDecay(sparsity.share / 2, sparsity.share, begin_step=1, end_step=last, frequency=every), last


def _wrapped(graph: Graph, names: tuple[str, ...], schedule: Any, sparsity: Sparsity) -> tf_keras.Model:
    """A copy with TFMOT's wrapper around the layers `names`, which alone can be trained."""
    options = {"sparsity_m_by_n": (2, 4)} if sparsity.pattern == "2:4" else {}

    def wrap(layer: Any) -> Any:
        # A normalisation that cannot be trained keeps its statistics in a training step too.
        layer.trainable = layer.name in names
        return _tfmot.prune_low_magnitude(layer, schedule, **options) if layer.name in names else layer

    return tf_keras.models.clone_model(to_keras(graph), clone_function=wrap)


def _prune_now(wrapped: tf_keras.Model, step: int) -> None:
    """Prune as in that step of the schedule, without training."""
    for layer in wrapped.layers:
        if isinstance(layer, tf_keras.layers.Wrapper):
            layer.pruning_step.assign(step)
            layer.pruning_obj.conditional_mask_update()
            layer.pruning_obj.weight_mask_op()


def _train_step(
    wrapped: tf_keras.Model, loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], learning_rate: float, steps: int
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """One update, compiled. The wrappers count the step, grow their masks and apply them in the forward pass, so that after
    it pruned weights are one update away from zero, until the next one or the end of the epoch."""
    optimizer = tf_keras.optimizers.Adam(tf_keras.optimizers.schedules.CosineDecay(learning_rate, max(1, steps)))
    variables = wrapped.trainable_variables
    optimizer.build(variables)
    # The batch's size is left open for the last, smaller one, as in `finetune`.
    batch = [tf.TensorSpec((None, *shape[1:]), tf.float32) for shape in (wrapped.input_shape, wrapped.output_shape)]

    @tf.function(input_signature=batch)  # type: ignore[untyped-decorator]  # TensorFlow is not followed
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(labels, wrapped(images, training=True)))
        optimizer.apply_gradients(zip(tape.gradient(value, variables), variables, strict=True))
        return value

    return step  # type: ignore[no-any-return]  # TensorFlow is not followed


def _epochs(count: int, sparsity: Sparsity) -> Iterator[list[npt.NDArray[np.intp]]]:
    """The indices of each batch, epoch by epoch."""
    rng = np.random.default_rng(sparsity.seed)
    for _ in range(sparsity.epochs):
        order = rng.permutation(count)
        yield [np.sort(order[at : at + sparsity.batch_size]) for at in range(0, count, sparsity.batch_size)]


Weights = Mapping[str, Mapping[str, npt.NDArray[np.float32]]]


def _weights(plain: tf_keras.Model, names: tuple[str, ...]) -> Weights:
    """Kernel and bias of the layers `names`."""
    layers = {name: plain.get_layer(name) for name in names}
    # A masked negative weight is -0.0; adding 0.0 makes it the zero whose bytes are all zero.
    return {
        name: {"kernel": layer.kernel.numpy() + 0.0, **({} if layer.bias is None else {"bias": layer.bias.numpy()})}
        for name, layer in layers.items()
    }


def _with_weights(node: Node, trained: Weights) -> Node:
    return replace(node, weights=trained[node.name]) if node.name in trained else node
