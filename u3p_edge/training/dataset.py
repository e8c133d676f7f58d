"""Batches by tf.data: each a pure function of seed, epoch and place in the epoch, so a resumed run sees the same ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from u3p_edge.data.augment import Augmentation, augment
from u3p_edge.data.load import Arrays

WORKERS = 2
"""Threads that prepare images while the network trains."""


def order(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    """The order in which an epoch visits the images: int64 [count]."""
    return np.random.default_rng((seed, epoch)).permutation(count)


def training_image(
    arrays: Arrays, augmentation: Augmentation | None, seed: int, epoch: int, index: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """One image float32 [H, W, C] and labels uint8 [H, W] as an epoch sees them."""
    image, labels = arrays.images[index], arrays.labels[index]
    if augmentation is None:
        return image, labels
    return augment(image, labels, np.random.default_rng((seed, epoch, index)), augmentation)


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Whole batches in an epoch; a set smaller than a batch is one batch."""
    return max(1, images // batch_size)


def training_batches(
    arrays: Arrays, augmentation: Augmentation | None, batch_size: int, seed: int, epoch: int
) -> tf.data.Dataset:
    """One epoch of shuffled, augmented batches: (float32 [N, H, W, C], uint8 [N, H, W]).

    Every batch is whole (a step's shapes never change); a set smaller than `batch_size` is one batch.
    """

    def prepare(index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        return training_image(arrays, augmentation, seed, epoch, int(index))

    def read(index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        image, labels = tf.numpy_function(prepare, [index], (tf.float32, tf.uint8), stateful=False)
        return tf.ensure_shape(image, arrays.images.shape[1:]), tf.ensure_shape(labels, arrays.labels.shape[1:])

    count = len(arrays.images)
    visits = tf.data.Dataset.from_tensor_slices(order(seed, epoch, count))
    images = visits.map(read, num_parallel_calls=WORKERS, deterministic=True)
    return images.batch(min(batch_size, count), drop_remainder=True).prefetch(2)
