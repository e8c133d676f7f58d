"""The network, its optimizer, one training step and one evaluation step.

The classification-guided module (CGM) is trained on separate labels, the classes' presence. As long as
it is trained, its loss also reaches the encoder (it is an auxiliary task, as in the paper); once it is frozen, its loss
is left out altogether, and training continues on segmentation alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import tensorflow as tf
import tf_keras

from u3p_edge.models import cgm
from u3p_edge.models.backbone import is_backbone
from u3p_edge.models.backbone_weights import fill_backbone
from u3p_edge.models.truth import fit_loss, one_hot
from u3p_edge.models.unet3plus import build
from u3p_edge.optim.adam import Adam
from u3p_edge.training.checkpoint import Tensors
from u3p_edge.training.losses import find_loss, presence_cross_entropy
from u3p_edge.training.recipe import TrainRecipe

GATE = cgm.CONV
"""The only layer of the CGM that has weights."""


class Trainer:
    """A network in training; its weights and the optimizer's moments are the only state.

    Args:
        recipe: with `channels` and `labels` set. Its seed is set globally (Python, NumPy, TensorFlow).
    """

    def __init__(self, recipe: TrainRecipe) -> None:
        tf_keras.utils.set_random_seed(recipe.seed)
        self.recipe = recipe
        self.config = recipe.model_config()
        self.model = build(self.config)
        self._masks, self._with_deepest = _training_outputs(self.model, recipe.cgm)
        self._loss = fit_loss(find_loss(recipe.loss), self.config.multi_label)
        gate = self.model.get_layer(GATE).trainable_variables if recipe.cgm else []
        self._backbone = [layer for layer in self.model.layers if is_backbone(layer.name)]
        encoder = [variable for layer in self._backbone for variable in layer.trainable_variables]
        names = {variable.name for variable in (*gate, *encoder)}
        network = [v for v in self.model.trainable_variables if v.name not in names]
        self._network, self._gate, self._encoder = network, list(gate), encoder
        self._adam = Adam([*network, *gate, *encoder], recipe.weight_decay if recipe.optimizer == "adamw" else 0.0)
        # The batch's size is left open. Where TensorFlow knows all shapes, it may sum gradients of several branches in the
        # order in which they happen to be ready, to save memory, and the last bits differ from run to run; also under
        # `enable_op_determinism` (measured with TensorFlow 2.21). Hence no `tf.add_n` of losses either.
        batch = (tf.TensorSpec((None, *self.config.input_shape)), tf.TensorSpec((None, *recipe.size), tf.uint8))
        position = (tf.TensorSpec(()), tf.TensorSpec((2,), tf.int64))
        self.evaluate = tf.function(self._evaluate, input_signature=batch)
        self._steps = {
            (gate, frozen): tf.function(partial(self._train_step, gate, frozen), input_signature=batch + position)
            for gate in (False, True)
            for frozen in (False, True)
        }

    def train_step(
        self, images: tf.Tensor, labels: tf.Tensor, rate: float, step: int, *, train_gate: bool, frozen: int = 0
    ) -> tuple[float, float]:
        """Take one step of gradient descent.

        Args:
            images: float32 [N, H, W, C]; labels: uint8 [N, H, W].
            rate: learning rate. step: of the whole run, from 0; decides the dropout.
            train_gate: whether the CGM is trained too.
            frozen: number of steps at the beginning of the run in which the backbone stays as it is, statistics included.

        Returns:
            Segmentation loss, and the CGM's loss (0 where it is not trained).
        """
        position = tf.constant(rate, tf.float32), tf.constant([step, step - frozen], tf.int64)
        losses = self._steps[train_gate, step < frozen](images, labels, *position)
        segmentation, gate = losses.numpy().tolist()
        return segmentation, gate

    def _train_step(
        self, train_gate: bool, frozen: bool, images: tf.Tensor, labels: tf.Tensor, rate: tf.Tensor, steps: tf.Tensor
    ) -> tf.Tensor:
        """Return both losses of a step; `steps` are those since the run began, and since the backbone is trained."""
        truth = one_hot(labels, self.config.classes, self.config.multi_label)
        for layer in self._backbone:
            layer.trainable = not frozen  # read while this is traced: a normalisation then uses its own statistics
        trained, backbone = [*self._network, *(self._gate if train_gate else ())], [] if frozen else self._encoder
        with tf.GradientTape() as tape:
            outputs = _as_list((self._with_deepest if train_gate else self._masks)(images, training=True))
            gate = self._gate_loss(truth, outputs.pop(), steps[0]) if train_gate else tf.constant(0.0)
            segmentation = tf.reduce_mean(self._segmentation_loss(truth, outputs))
            total = segmentation + gate
        gradients = tape.gradient(total, [*trained, *backbone])
        self._adam.apply(gradients[: len(trained)], trained, rate, steps[0])
        # Its moments are new where the others' are old, and Adam corrects for the age of a moment.
        self._adam.apply(gradients[len(trained) :], backbone, rate, steps[1])
        return tf.stack([segmentation, gate])

    def _evaluate(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Return losses and predictions without training.

        Args:
            images: float32 [N, H, W, C]; labels: uint8 [N, H, W].

        Returns:
            mask float32 [N, H, W, K], segmentation loss [N], CGM's probabilities [N, U] and its loss [N] (both empty
            without one: U = 0).
        """
        truth = one_hot(labels, self.config.classes, self.config.multi_label)
        outputs = _as_list(self.model(images, training=False))
        masks = outputs[:-1] if self.recipe.cgm else outputs
        losses = self._segmentation_loss(truth, masks)
        if not self.recipe.cgm:
            return masks[0], losses, tf.zeros((tf.shape(images)[0], 0)), tf.zeros(0)
        presence = cgm.presence(truth, self.config.cgm_units)
        return masks[0], losses, outputs[-1], presence_cross_entropy(presence, outputs[-1])

    def tensors(self) -> Tensors:
        """Return copies of all weights ("model/NAME") and of the optimizer's moments ("adam/MOMENT/NAME")."""
        return {**self.weights(), **{name: v.numpy() for name, v in self._moments().items()}}

    def load_backbone(self, path: Path) -> None:
        """Set the backbone's weights from a file. Raises ModelError."""
        fill_backbone(self.model, str(self.config.backbone), path)

    def weights(self, *, gate_only: bool = False) -> Tensors:
        """Return copies of all weights, or only the CGM's: "model/NAME"."""
        return {f"model/{v.name}": v.numpy() for v in self._weights(gate_only)}

    def restore(self, tensors: Tensors) -> None:
        """Set all that `tensors` gives. Raises KeyError or ValueError for tensors of another network."""
        self.set_weights(tensors)
        for name, variable in self._moments().items():
            variable.assign(tensors[name])

    def set_weights(self, tensors: Tensors, *, gate_only: bool = False) -> None:
        """Set the weights ("model/NAME"), or only the CGM's."""
        for variable in self._weights(gate_only):
            variable.assign(tensors[f"model/{variable.name}"])

    def _moments(self) -> dict[str, tf.Variable]:
        return {f"adam/{kind}/{name}": v for kind, some in self._adam.moments.items() for name, v in some.items()}

    def _weights(self, gate_only: bool) -> list[tf.Variable]:
        return list(self.model.get_layer(GATE).weights if gate_only else self.model.weights)

    def _segmentation_loss(self, truth: tf.Tensor, masks: Sequence[tf.Tensor]) -> tf.Tensor:
        """Return the mean over the supervised scales (the paper's sum by their number, so that losses stay comparable): [N]."""
        return tf.reduce_mean(tf.stack([self._loss(truth, mask) for mask in masks]), axis=0)

    def _gate_loss(self, truth: tf.Tensor, deepest: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        # The dropout layer of the module counts its calls, and a resumed run could not continue the count.
        seed = tf.stack([tf.constant(self.recipe.seed, tf.int64), step])
        x = tf.nn.experimental.stateless_dropout(deepest, self.config.cgm_dropout, seed)
        for name in (GATE, "cgm_pool", cgm.OUTPUT):
            x = self.model.get_layer(name)(x)
        return tf.reduce_mean(presence_cross_entropy(cgm.presence(truth, self.config.cgm_units), x))


def _training_outputs(model: tf_keras.Model, with_cgm: bool) -> tuple[tf_keras.Model, tf_keras.Model]:
    """Return two models over the same layers: the masks, and the masks with the CGM's input (the same without a CGM)."""
    masks = list(model.outputs[:-1] if with_cgm else model.outputs)
    deepest = [model.get_layer("cgm_dropout").input] if with_cgm else []
    return tf_keras.Model(model.inputs, masks), tf_keras.Model(model.inputs, [*masks, *deepest])


def _as_list(outputs: tf.Tensor | list[tf.Tensor]) -> list[tf.Tensor]:
    return list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
