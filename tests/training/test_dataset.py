from __future__ import annotations

import numpy as np
from tiny_run import discs

from u3p_edge.data.augment import Augmentation
from u3p_edge.training.dataset import order, steps_per_epoch, training_batches

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
