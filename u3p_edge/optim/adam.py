"""Adam with decoupled weight decay (Kingma and Ba 2015; Loshchilov and Hutter 2019, "AdamW"), one fused op per variable.

Its state is two moments per variable and nothing else: the step count comes from outside, so a part of the variables can be
left out of a step, and a stored state is complete.
"""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-7


class Adam:
    """The optimizer's moments for some variables.

    Args:
        variables: to be trained.
        weight_decay: relative shrinking of kernels per step, times the learning rate; biases and normalisation (rank 1) have
            none. 0 is plain Adam.

    Raises:
        ValueError: two variables have the same name.
    """

    def __init__(self, variables: Sequence[tf.Variable], weight_decay: float) -> None:
        if len({v.name for v in variables}) != len(variables):
            raise ValueError("two variables have the same name")
        self.weight_decay = weight_decay
        self.moments = {
            name: {v.name: tf.Variable(tf.zeros_like(v), trainable=False, name=f"adam/{name}") for v in variables}
            for name in ("first", "second")
        }

    def apply(self, gradients: Sequence[tf.Tensor], variables: Sequence[tf.Variable], rate: tf.Tensor, step: tf.Tensor) -> None:
        """Change the variables by one step.

        Args:
            gradients: one per variable. variables: some of those given to the constructor.
            rate: learning rate, float32 scalar. step: from 0, int64 scalar.
        """
        count = tf.cast(step + 1, tf.float32)
        powers = BETA_1**count, BETA_2**count
        for gradient, variable in zip(gradients, variables, strict=True):
            if self.weight_decay and len(variable.shape) > 1:
                variable.assign_sub(variable * (rate * self.weight_decay))
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self.moments["first"][variable.name].handle,
                v=self.moments["second"][variable.name].handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=BETA_1,
                beta2=BETA_2,
                epsilon=EPSILON,
                grad=gradient,
            )
