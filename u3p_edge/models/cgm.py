"""The classification-guided module: is the organ in the image at all (Huang et al. 2020, section 2.3).

    encoder 5 ─ dropout ─ 1x1 convolution ─ global maximum ─ sigmoid ─► cgm_output [N, units]

The paper gates by an argmax, which passes no gradient, so its classifier cannot learn. Here it learns from separate labels,
`presence`, which follow from the masks. In training the masks are not gated: `graph.inference` multiplies the
activated mask by the gate when the model is exported.
"""

from __future__ import annotations

import tensorflow as tf
from tf_keras import layers

from u3p_edge.models.blocks import kernel_initializer
from u3p_edge.models.config import UNet3PlusConfig

OUTPUT = "cgm_output"
"""Name of the module's output layer."""

CONV = "cgm_conv"
"""Name of the module's only layer with weights: `trainable = False` there freezes the module."""


def classify(deepest: tf.Tensor, config: UNet3PlusConfig) -> tf.Tensor:
    """Return the probability that each class is in the image, from encoder 5's [N, h, w, c]: [N, `config.cgm_units`].

    With two units for a sigmoid mask, unit 0 means "absent" and unit 1 "present".
    """
    x = layers.Dropout(config.cgm_dropout, name="cgm_dropout")(deepest)
    x = layers.Conv2D(config.cgm_units, 1, kernel_initializer=kernel_initializer(config), name=CONV)(x)
    x = layers.GlobalMaxPooling2D(name="cgm_pool")(x)
    return layers.Activation("sigmoid", name=OUTPUT)(x)


def gate_channel(mask_channels: int, units: int) -> int | None:
    """Return the unit of `cgm_output` that gates a mask of that many channels; None if unit k gates channel k.

    Two units for one channel are the paper's "absent" and "present", and "present" gates.

    >>> gate_channel(mask_channels=1, units=2)
    1
    """
    return units - 1 if mask_channels == 1 else None


def presence(one_hot: tf.Tensor, units: int) -> tf.Tensor:
    """Return labels for `cgm_output` from the masks: 1 where the class has a pixel in the image.

    Args:
        one_hot: float [N, H, W, K], as `models.truth.one_hot` makes it.
        units: the module's units: K, or 2 ("absent", "present") for K = 1.

    Returns:
        float32 [N, units] of 0 and 1.
    """
    present = tf.cast(tf.reduce_any(one_hot >= 0.5, axis=(1, 2)), tf.float32)
    return tf.concat([1.0 - present, present], axis=-1) if one_hot.shape[-1] == 1 and units == 2 else present
