from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from u3p_edge.optim.adam import BETA_1, BETA_2, EPSILON, Adam


def test_two_steps_by_hand() -> None:
    kernel, bias = tf.Variable([[2.0]], name="kernel"), tf.Variable([2.0], name="bias")
    adam = Adam([kernel, bias], weight_decay=0.1)
    gradients = (0.5, -0.25)
    expected = {"kernel": 2.0, "bias": 2.0}
    first = second = 0.0
    for step, gradient in enumerate(gradients):
        adam.apply([tf.constant([[gradient]]), tf.constant([gradient])], [kernel, bias], tf.constant(0.01), tf.constant(step))
        first = BETA_1 * first + (1 - BETA_1) * gradient
        second = BETA_2 * second + (1 - BETA_2) * gradient**2
        rate = 0.01 * np.sqrt(1 - BETA_2 ** (step + 1)) / (1 - BETA_1 ** (step + 1))
        expected["kernel"] *= 1 - 0.01 * 0.1  # decoupled decay, of kernels alone
        expected = {name: value - rate * first / (np.sqrt(second) + EPSILON) for name, value in expected.items()}
    # float32 near 2 has steps of 2.4e-7; a dozen roundings.
    assert float(kernel.numpy()[0, 0]) == pytest.approx(expected["kernel"], abs=3e-6)
    assert float(bias.numpy()[0]) == pytest.approx(expected["bias"], abs=3e-6)


def test_a_variable_left_out_keeps_its_value_and_moments() -> None:
    a, b = tf.Variable([1.0], name="a"), tf.Variable([1.0], name="b")
    adam = Adam([a, b], weight_decay=0.0)
    adam.apply([tf.constant([1.0])], [a], tf.constant(0.1), tf.constant(0))
    assert a.numpy()[0] != 1.0
    assert b.numpy()[0] == 1.0
    assert [m[b.name].numpy()[0] for m in adam.moments.values()] == [0.0, 0.0]
