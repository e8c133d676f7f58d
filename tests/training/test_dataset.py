from __future__ import annotations

import dataclasses

import numpy as np

from tests.support.tiny_run import discs
from u3p_edge.data.augmentation import Augmentation
from u3p_edge.models.truth import one_hot
from u3p_edge.training.dataset import order, soft_batches, soft_image, steps_per_epoch, training_batches, training_image

DATA = discs(10, 1)


def epoch(number: int, augmentation: Augmentation | None = None, batch: int = 4) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(training_batches(DATA, augmentation, batch, 7, number).as_numpy_iterator())


def test_an_epoch_can_be_drawn_again_and_differs_from_others() -> None:
    first, again, other = (np.concatenate([x for x, _ in epoch(n, Augmentation())]) for n in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_without_augmentation_the_images_come_as_they_are_in_the_drawn_order() -> None:
    batches = epoch(2)
    visits = order(7, 2, 10)[:8]
    np.testing.assert_array_equal(np.concatenate([x for x, _ in batches]), DATA.images[visits])
    np.testing.assert_array_equal(np.concatenate([y for _, y in batches]), DATA.labels[visits])


def test_every_batch_is_whole() -> None:
    assert [len(x) for x, _ in epoch(1)] == [4, 4]
    assert steps_per_epoch(10, 4) == 2
    assert [len(x) for x, _ in epoch(1, batch=64)] == [10]
    assert steps_per_epoch(10, 64) == 1


def test_order_visits_every_image_once() -> None:
    assert sorted(order(0, 1, 50)) == list(range(50))
    assert not np.array_equal(order(0, 1, 50), order(1, 1, 50))


def test_soft_masks_come_with_the_same_batches() -> None:
    soft = np.random.default_rng(0).random((10, 32, 32, 1)).astype(np.float16)
    plain = epoch(3, Augmentation())
    batches = list(soft_batches(DATA, soft, Augmentation(), 4, 7, 3).as_numpy_iterator())
    assert len(batches) == len(plain)
    for (image, labels, masks), (same_image, same_labels) in zip(batches, plain, strict=True):
        np.testing.assert_array_equal(image, same_image)
        np.testing.assert_array_equal(labels, same_labels)
        assert (masks.dtype, masks.shape) == (np.float32, (4, 32, 32, 1))
    visits = order(7, 2, 10)[:4]
    still = next(iter(soft_batches(DATA, soft, None, 4, 7, 2).as_numpy_iterator()))
    np.testing.assert_array_equal(still[2], soft[visits])


def test_without_soft_masks_their_channels_are_none() -> None:
    image, labels, masks = soft_image(DATA, np.zeros((10, 32, 32, 0), np.float16), Augmentation(), 7, 1, 2)
    same = training_image(DATA, Augmentation(), 7, 1, 2)
    np.testing.assert_array_equal(image, same[0])
    np.testing.assert_array_equal(labels, same[1])
    assert masks.shape == (32, 32, 0)


def test_soft_masks_move_with_the_labels() -> None:
    """A teacher that is sure of the labels stays so: bilinear and nearest differ along outlines alone."""
    squares = np.zeros((32, 32), np.uint8)
    squares[8:16, 6:20], squares[16:24, 12:22] = 1, 2
    data = dataclasses.replace(DATA, labels=np.repeat(squares[None], 10, axis=0))
    for channels, truth in ((3, data.labels), (1, (data.labels > 0).astype(np.uint8))):
        own = dataclasses.replace(data, labels=truth)
        soft = one_hot(truth, channels).numpy().astype(np.float16)
        moved = 0
        for seed in range(20):
            _, labels, masks = soft_image(own, soft, Augmentation(probability=0.8), seed, 1, 0)
            sure = masks.argmax(axis=2) if channels > 1 else masks[..., 0] > 0.5
            # About 90 pixels have an outline beside them; on far less than half the two ways of reading part.
            assert (sure != labels).sum() < 20
            moved += (labels != truth[0]).any()
            if channels > 1:
                np.testing.assert_allclose(masks.sum(axis=2), 1, atol=1e-6)
        assert moved > 10
        flips = Augmentation(1.0, rotation=0, scaling=0, shift=0)
        _, labels, masks = soft_image(own, soft, flips, 0, 1, 0)
        np.testing.assert_array_equal(labels, np.flip(truth[0], (0, 1)))
        np.testing.assert_array_equal(masks, one_hot(labels, channels))
