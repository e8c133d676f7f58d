"""Observe what the layers of a float model compute on calibration images: the extremes and histograms of their outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
import tf_keras

from u3p_edge.errors import DataError
from u3p_edge.progress import Step, idle
from u3p_edge.quantization.ranges import BINS, SHIFT, Observed


def observe_layers(
    model: tf_keras.Model, names: Sequence[str], images: np.ndarray, step: Step = idle
) -> Mapping[str, Observed]:
    """Observe the outputs of the layers `names` over all images, one image at a time.

    Args:
        model: functional model with one input [N, H, W, C].
        images: float32 [N, H, W, C], preprocessed.
        step: called after every image.

    Raises:
        DataError: there are no images, they have another shape, or some pixels are not finite.
    """
    shape = model.input_shape[1:]
    if images.ndim != 4 or images.shape[1:] != shape or len(images) == 0 or not np.isfinite(images).all():
        raise DataError(f"calibration wants finite images of shape [N, {', '.join(map(str, shape))}], not {images.shape}")
    probe = tf_keras.Model(model.input, [model.get_layer(name).output for name in names])

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow is not followed
    def measure(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The outputs are reduced here and not in the probe: there every operation would become a Keras layer, which takes
        # seconds.
        outputs = tf.nest.flatten(probe(image, training=False))
        extremes = [tf.stack([tf.reduce_min(values), tf.reduce_max(values)]) for values in outputs]
        return tf.stack(extremes), tf.stack([_histogram(values) for values in outputs])

    low, high, counts = np.zeros(len(names)), np.zeros(len(names)), np.zeros((len(names), BINS), np.int64)
    for i in range(len(images)):
        extremes, histograms = measure(tf.constant(images[i : i + 1]))
        low, high = np.minimum(low, extremes[:, 0]), np.maximum(high, extremes[:, 1])
        counts = counts + histograms.numpy()
        step()
    return {name: Observed(float(low[i]), float(high[i]), counts[i]) for i, name in enumerate(names)}


def _histogram(values: tf.Tensor) -> tf.Tensor:
    """Count how many values lie in each of the bins of `quantization.ranges`: int32 [BINS]."""
    bits = tf.bitwise.right_shift(tf.bitcast(values, tf.uint32), tf.constant(SHIFT, tf.uint32))
    return tf.math.bincount(tf.reshape(tf.cast(bits, tf.int32), [-1]), minlength=BINS, maxlength=BINS)
