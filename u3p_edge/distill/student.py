"""A network that learns from labels and from a teacher: its weights, the optimizer's moments, one step."""

from __future__ import annotations

from dataclasses import dataclass

import tensorflow as tf
import tf_keras

from u3p_edge.data.augmentation import Augmentation
from u3p_edge.distill.decoder import decoder_maps
from u3p_edge.distill.loss import attention_distance, divergence
from u3p_edge.errors import ConfigError
from u3p_edge.graph.inference import is_multi_label
from u3p_edge.graph.ir import Graph, subgraph
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.models.truth import counting_pixels, fit_loss, one_hot
from u3p_edge.optim.adam import Adam
from u3p_edge.optim.fit import check_keep_epoch
from u3p_edge.training.checkpoint import Tensors
from u3p_edge.training.losses import dice_cross_entropy

MOMENTUM = 0.9
"""The highest momentum of batch normalisation's moving averages in fine-tuning: after some ten steps they must describe the
pruned maps, and with Keras' 0.99 half of their value after 70 steps still comes from the network before pruning."""


@dataclass(frozen=True)
class FinetuneConfig:
    """How a pruned network is fine-tuned.

    Args:
        epochs: 0 for none.
        batch_size: images per step.
        learning_rate: after the warm-up; half a cosine wave follows.
        warmup: epochs over which the learning rate rises; may be a fraction, or 0.
        distillation: weight of the loss on the teacher probabilities, beside the labels' loss; 0 for none.
        features: weight of the loss on its decoder's attention maps; 0 for none. With it, the teacher runs at every step.
        augmentation: of training images; None for none.
        weight_decay: of kernels (see `u3p_edge.optim.adam.Adam`).
        seed: of order and augmentation.
        keep_epoch: the epoch whose weights are kept, whatever the validation says; None for the best.

    Raises:
        ConfigError: a value that is not allowed.
    """

    epochs: int
    batch_size: int = 8
    learning_rate: float = 1e-3
    warmup: float = 0.5
    distillation: float = 1.0
    features: float = 0.0
    augmentation: Augmentation | None = None
    weight_decay: float = 1e-4
    seed: int = 0
    keep_epoch: int | None = None

    def __post_init__(self) -> None:
        check_keep_epoch(self.keep_epoch, self.epochs)
        if not 0 < self.learning_rate < float("inf"):
            raise ConfigError(f"learning_rate cannot be {self.learning_rate}", mend="Use for example 0.001.")
        if self.batch_size < 1:
            raise ConfigError(f"batch_size cannot be {self.batch_size}", mend="It is 1 or more.")
        for name in ("epochs", "warmup", "distillation", "features", "weight_decay", "seed"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"{name} cannot be {getattr(self, name)}", mend="It is 0 or more.")


class Student:
    """A graph as a network in training; its weights and the optimizer's moments are the only state.

    Args:
        graph: one input, one output of probabilities.
        config: the options of fine-tuning.
        teacher: needed only for features.

    Raises:
        ConfigError: features are asked for without a teacher, or for networks whose decoders have no map of one size in common.
    """

    def __init__(self, graph: Graph, config: FinetuneConfig, teacher: tf_keras.Model | None) -> None:
        self.model = to_keras(graph)
        for layer in self.model.layers:
            if isinstance(layer, tf_keras.layers.BatchNormalization):
                layer.momentum = min(layer.momentum, MOMENTUM)
        self._config = config
        names: tuple[str, ...] = ()
        self._teacher: tf_keras.Model | None = None
        if config.features:
            names, self._teacher = _compared(graph, teacher)
        maps = [self.model.get_layer(name).output for name in names]
        self._maps = tf_keras.Model(self.model.input, [self.model.output, *maps])
        self._multi_label = is_multi_label(graph)
        self._loss = fit_loss(dice_cross_entropy, self._multi_label)
        self._variables = self.model.trainable_variables
        self._adam = Adam(self._variables, config.weight_decay)
        # The batch's size is left open, or the last bits could differ from run to run: see `u3p_edge.training.trainer`.
        (_, height, width, channels), classes = self.model.input_shape, self.model.output_shape[-1]
        signature = (
            tf.TensorSpec((None, height, width, channels)),
            tf.TensorSpec((None, height, width), tf.uint8),
            tf.TensorSpec((None, height, width, classes if config.distillation else 0)),
            tf.TensorSpec(()),
            tf.TensorSpec((), tf.int64),
        )
        self._step = tf.function(self._train_step, input_signature=signature)

    def train_step(self, images: tf.Tensor, labels: tf.Tensor, soft: tf.Tensor, rate: float, step: int) -> float:
        """Take one step of gradient descent; return the loss, mean over the images.

        Args:
            images: float32 [N, H, W, C]. labels: uint8 [N, H, W].
            soft: float32 [N, H, W, K], or K = 0 without distillation.
            rate: learning rate. step: of the whole run, from 0.
        """
        return float(self._step(images, labels, soft, tf.constant(rate, tf.float32), tf.constant(step, tf.int64)).numpy())

    def _train_step(self, images: tf.Tensor, labels: tf.Tensor, soft: tf.Tensor, rate: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        theirs = [] if self._teacher is None else tf.nest.flatten(self._teacher(images, training=False))
        with tf.GradientTape() as tape:
            predicted, *ours = tf.nest.flatten(self._maps(images, training=True))
            truth = one_hot(labels, predicted.shape[-1], self._multi_label)
            losses = self._loss(truth, predicted)
            if self._config.distillation:
                losses += self._config.distillation * divergence(soft, predicted, counting_pixels(truth))
            for one, other in zip(ours, theirs, strict=True):
                losses += self._config.features / len(ours) * attention_distance(one, other)
            loss = tf.reduce_mean(losses)
        self._adam.apply(tape.gradient(loss, self._variables), self._variables, rate, step)
        return loss

    def weights(self) -> Tensors:
        """Return copies of all weights, by the variable's name."""
        return {variable.name: variable.numpy() for variable in self.model.weights}

    def moments(self) -> Tensors:
        """Return copies of the optimizer's moments: "MOMENT/NAME"."""
        return {name: variable.numpy() for name, variable in self._moments().items()}

    def restore(self, weights: Tensors, moments: Tensors) -> None:
        """Set all weights and moments. Raises KeyError or ValueError for tensors of another network."""
        assign(self.model, weights)
        for name, variable in self._moments().items():
            variable.assign(moments[name])

    def _moments(self) -> dict[str, tf.Variable]:
        return {f"{kind}/{name}": v for kind, some in self._adam.moments.items() for name, v in some.items()}


def assign(model: tf_keras.Model, weights: Tensors) -> None:
    """Set all weights of a model by the variables' names. Raises KeyError or ValueError for those of another network."""
    for variable in model.weights:
        variable.assign(weights[variable.name])


def _compared(graph: Graph, teacher: tf_keras.Model | None) -> tuple[tuple[str, ...], tf_keras.Model]:
    """Return the student's decoder maps of the sizes that both networks have, and the teacher up to its maps of these sizes."""
    if teacher is None:
        raise ConfigError("the decoder's maps are to be taught, and there is no teacher", mend="Give it, or set features to 0.")
    teacher_graph = from_keras(teacher)
    ours, theirs = decoder_maps(graph), decoder_maps(teacher_graph)
    sizes = [size for size in ours if size in theirs]
    if not sizes:
        raise ConfigError(
            "the decoders of student and teacher have no map of one size in common, and such maps are to be taught",
            mend="Set features to 0.",
        )
    return tuple(ours[size] for size in sizes), to_keras(subgraph(teacher_graph, [theirs[size] for size in sizes]))
