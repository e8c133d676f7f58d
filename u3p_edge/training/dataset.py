"""Batches by tf.data: each a pure function of seed, epoch and position in the epoch, so a resumed run sees the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from u3p_edge.data.augment import augment, augment_along
from u3p_edge.data.augmentation import Augmentation
from u3p_edge.data.load import Arrays

WORKERS = 2
"""Threads that prepare images while the network trains."""


def order(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    """Return the order in which an epoch visits the images: int64 [count], each of 0 .. count - 1 once.

    It is a function of the seed and the epoch (from 1) alone.
    """
    return np.random.default_rng((seed, epoch)).permutation(count)


def training_image(
    arrays: Arrays, augmentation: Augmentation | None, seed: int, epoch: int, index: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Return one image float32 [H, W, C] and its labels uint8 [H, W] as an epoch sees them.

    Args:
        arrays: the training split.
        augmentation: None for none.
        seed, epoch, index: of the run, the epoch (from 1) and the image; they alone decide the variation.
    """
    image, labels = arrays.images[index], arrays.labels[index]
    if augmentation is None:
        return image, labels
    return augment(image, labels, np.random.default_rng((seed, epoch, index)), augmentation)


def soft_image(
    arrays: Arrays, soft: npt.NDArray[Any], augmentation: Augmentation | None, seed: int, epoch: int, index: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
    """Return what `training_image` gives, and the image's teacher probabilities float32 [H, W, K], moved along.

    Args:
        soft: floating [N, H, W, K], probabilities of every image: K = 1 of the foreground, else of each label. Pixels
            that come in from outside the image are background.
    """
    image, labels, mask = arrays.images[index], arrays.labels[index], soft[index]
    if augmentation is None:
        return image, labels, mask.astype(np.float32)
    channels = mask.shape[-1]
    outside = [float(channels > 1 and channel == 0) for channel in range(channels)]
    return augment_along(image, labels, mask, outside, np.random.default_rng((seed, epoch, index)), augmentation)


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Return the number of whole batches in an epoch; a set smaller than a batch is one batch."""
    return max(1, images // batch_size)


def training_batches(
    arrays: Arrays, augmentation: Augmentation | None, batch_size: int, seed: int, epoch: int
) -> tf.data.Dataset:
    """Return one epoch of shuffled, augmented batches: (float32 [N, H, W, C], uint8 [N, H, W]).

    Every batch is whole, so the shapes of a step never change; a set smaller than `batch_size` is one batch.
    """

    def prepare(index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        return training_image(arrays, augmentation, seed, epoch, int(index))

    return _batches(prepare, _kinds(arrays), order(seed, epoch, len(arrays.images)), batch_size)


def soft_batches(
    arrays: Arrays, soft: npt.NDArray[Any], augmentation: Augmentation | None, batch_size: int, seed: int, epoch: int
) -> tf.data.Dataset:
    """Return the batches of `training_batches`, each with teacher probabilities (see `soft_image`), float32 [N, H, W, K]."""

    def prepare(index: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8], npt.NDArray[np.float32]]:
        return soft_image(arrays, soft, augmentation, seed, epoch, int(index))

    kinds = (*_kinds(arrays), tf.TensorSpec(soft.shape[1:], tf.float32))
    return _batches(prepare, kinds, order(seed, epoch, len(arrays.images)), batch_size)


def _kinds(arrays: Arrays) -> tuple[tf.TensorSpec, ...]:
    return tf.TensorSpec(arrays.images.shape[1:], tf.float32), tf.TensorSpec(arrays.labels.shape[1:], tf.uint8)


def _batches(
    prepare: Callable[[int], tuple[npt.NDArray[Any], ...]],
    kinds: Sequence[tf.TensorSpec],
    visits: npt.NDArray[np.int64],
    batch_size: int,
) -> tf.data.Dataset:
    """Return what `prepare` gives for the images in the order `visits`, each of `kinds`, in whole batches."""

    def read(index: tf.Tensor) -> tuple[tf.Tensor, ...]:
        made = tf.numpy_function(prepare, [index], [kind.dtype for kind in kinds], stateful=False)
        return tuple(tf.ensure_shape(part, kind.shape) for part, kind in zip(made, kinds, strict=True))

    images = tf.data.Dataset.from_tensor_slices(visits).map(read, num_parallel_calls=WORKERS, deterministic=True)
    return images.batch(min(batch_size, len(visits)), drop_remainder=True).prefetch(2)
