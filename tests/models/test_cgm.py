"""The classification-guided module: its labels, its gate, its dropout."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.support.slow import mark_slow
from u3p_edge.models.cgm import CONV, OUTPUT, gate_channel, presence
from u3p_edge.models.config import preset
from u3p_edge.models.unet3plus import build


def test_presence_of_a_binary_mask() -> None:
    masks = np.zeros((3, 4, 4, 1), np.float32)
    masks[1, 2, 3] = 1.0
    masks[2] = 1.0
    np.testing.assert_array_equal(presence(tf.constant(masks), 1), [[0], [1], [1]])
    np.testing.assert_array_equal(presence(tf.constant(masks), 2), [[1, 0], [0, 1], [0, 1]])


def test_presence_of_each_label() -> None:
    labels = np.array([[[0, 0], [2, 0]], [[1, 1], [1, 1]]])
    np.testing.assert_array_equal(presence(tf.one_hot(labels, 3), 3), [[1, 0, 1], [0, 1, 0]])


def test_the_present_unit_gates_a_sigmoid_mask() -> None:
    assert gate_channel(1, 1) == 0
    assert gate_channel(1, 2) == 1
    assert gate_channel(4, 4) is None


@pytest.mark.parametrize("rate", mark_slow([0.0, 0.5], [0.0]))
def test_dropout_is_inside_the_module_and_only_in_training(rate: float) -> None:
    config = preset("paper", base_width=4, input_shape=(32, 32, 1), cgm=True, cgm_dropout=rate)
    model = build(config)
    assert model.get_layer("cgm_dropout").rate == rate
    module = tf.function(lambda x, training: model.get_layer("cgm_dropout")(x, training=training))
    x = tf.ones((1, 2, 2, 64))
    np.testing.assert_array_equal(module(x, False), x)
    assert bool(tf.reduce_any(module(x, True) == 0.0)) == (rate > 0)
    # The masks see encoder 5 itself, not what dropout left of it.
    assert model.get_layer("dec4_from_enc5_up").input is model.get_layer("enc5_relu2").output
    assert model.get_layer(OUTPUT).output.shape[1:] == (2,)
    assert len(model.get_layer(CONV).weights) == 2


def test_the_gate_learns_presence() -> None:
    """The paper's argmax passes no gradient; ours does, to the module and through it to the encoder."""
    tf_keras.utils.set_random_seed(0)  # of so few channels, all can be zero after a ReLU, and then nothing passes
    model = build(preset("article", base_width=2, input_shape=(16, 16, 1), cgm=True, cgm_dropout=0.0, deep_supervision=False))
    with tf.GradientTape() as tape:
        gate = model(tf.random.uniform((1, 16, 16, 1), seed=0))[-1]
    gradients = tape.gradient(gate, [model.get_layer(CONV).kernel, model.get_layer(CONV).bias])
    assert all(float(tf.norm(g)) > 0 for g in gradients)
