"""The one training loop: it keeps the best epoch, stops where the state says so, continues, and steps as Keras' Adam does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given
from hypothesis import strategies as st

from u3p_edge.errors import ModelError
from u3p_edge.optim.adam import Adam
from u3p_edge.optim.fit import History, fit, shuffled_batches
from u3p_edge.optim.schedule import learning_rate

STEPS = 3


@dataclass
class Network:
    """A number that every step raises by the learning rate."""

    weight: float = 0.0


def run(history: History, network: Network, scores: list[float], best: float = 0.0, **options: Any) -> tuple[History, float]:
    """Three steps an epoch at the learning rate 1; the score after epoch i is `scores[i - 1]`."""

    def step(_history: History, batch: int, rate: float, _number: int) -> float:
        network.weight += rate
        return float(batch)

    return fit(
        history,
        best,
        batches=lambda _history: range(STEPS),
        steps=STEPS,
        validate=lambda history, epoch: history.after(epoch.loss, scores[history.epoch]),
        keep_best=lambda: network.weight,
        **{"rate": lambda _number: 1.0, "step": step, **options},
    )


@pytest.mark.parametrize(
    ("scores", "best"), [([0.5, 0.5, 0.5], 0), ([0.6, 0.9, 0.7], 2), ([math.nan, 0.4, 0.7], 3), ([0.7, 0.7, math.nan], 1)]
)
def test_the_first_of_the_best_epochs_is_kept(scores: list[float], best: int) -> None:
    history, weight = run(History(3, (0.5,)), Network(), scores)
    assert (history.best_epoch, weight) == (best, best * STEPS)
    assert history.losses == (1.0, 1.0, 1.0), "the mean of 0, 1 and 2"
    assert history.scores == (0.5, *(-math.inf if math.isnan(score) else score for score in scores))


@pytest.mark.parametrize("keep", [0, 2, 3])
def test_an_epoch_that_is_to_be_kept_is_kept_and_is_the_last(keep: int) -> None:
    history, weight = run(History(3, (0.5,), keep_epoch=keep), Network(), [0.9, 0.1, 0.6])
    assert (history.best_epoch, history.epoch, weight) == (keep, keep, keep * STEPS)


def test_a_run_that_continues_is_the_run_that_was_not_interrupted() -> None:
    scores, whole_network, network = [0.9, 0.6, 0.7, 0.8], Network(), Network()
    whole = run(History(4, (0.5,)), whole_network, scores)
    saved: list[tuple[History, float]] = []

    def save(history: History, best: float) -> None:
        saved.append((history, best))
        if history.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(History(4, (0.5,)), network, scores, save=save)
    history, best = saved[-1]
    numbers: list[int] = []

    def rate(number: int) -> float:
        numbers.append(number)
        return 1.0

    assert run(history, network, scores, best, rate=rate) == whole
    assert network == whole_network
    assert sorted(set(numbers)) == list(range(2 * STEPS, 4 * STEPS)), "steps are counted over the whole run"


def test_nothing_is_trained_where_nothing_is_left() -> None:
    history = History(0, (0.5,))
    assert run(history, Network(), []) == (history, 0.0)


def test_a_loss_that_is_not_finite_ends_a_run_that_asks_for_it() -> None:
    def step(history: History, batch: int, _rate: float, _number: int) -> float:
        return math.nan if (history.epoch, batch) == (1, 2) else 0.0

    with pytest.raises(ModelError, match=r"not finite at epoch 2, step 3.*smaller"):
        run(History(3, (0.5,)), Network(), [1.0] * 3, step=step, mend="Use a smaller learning rate.")
    history, _ = run(History(3, (0.5,)), Network(), [1.0] * 3, step=step)
    assert history.epoch == 3


def test_progress_counts_epochs_and_their_steps_from_one() -> None:
    seen: list[tuple[int, int, float]] = []
    run(History(2, (0.5,)), Network(), [0.6, 0.7], progress=lambda *event: seen.append(event))
    assert seen == [(epoch, step, step - 1.0) for epoch in (1, 2) for step in (1, 2, 3)]


@given(count=st.integers(1, 40), size=st.integers(1, 50), seed=st.integers(0, 9), epoch=st.integers(1, 4))
def test_an_epoch_visits_each_image_once(count: int, size: int, seed: int, epoch: int) -> None:
    batches = shuffled_batches(count, size, seed, epoch)
    assert sorted(np.concatenate(batches)) == list(range(count))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    assert all((np.diff(batch) > 0).all() for batch in batches)
    again = shuffled_batches(count, size, seed, epoch)
    assert all(np.array_equal(one, other) for one, other in zip(batches, again, strict=True))


def test_adam_and_the_cosine_are_those_of_keras() -> None:
    rng, steps = np.random.default_rng(0), 6
    ours, theirs = (tf.Variable(np.ones((3, 4), np.float32), name=name) for name in ("ours", "theirs"))
    adam = Adam([ours], weight_decay=0.0)
    keras = tf_keras.optimizers.Adam(tf_keras.optimizers.schedules.CosineDecay(0.1, steps))
    for step in range(steps):
        gradient = tf.constant(rng.standard_normal((3, 4)), tf.float32)
        adam.apply([gradient], [ours], tf.constant(learning_rate(step, steps, 0, 0.1)), tf.constant(step, tf.int64))
        keras.apply_gradients([(gradient, theirs)])
    assert np.abs(theirs.numpy() - 1).min() > 1e-3, "they moved"
    # A step moves a weight by (1 - beta_1) / sqrt(1 - beta_2) = 3.2 learning rates at most (Kingma and Ba 2015, sec. 2.1). The
    # least exact number is the bias correction 1 - .999^t: it is .001 at first, and float32 rounds near 1 by 2^-24, so it errs
    # by 2^-24 / .001 = 6e-5 of itself.
    np.testing.assert_allclose(ours, theirs, atol=steps * 3.2 * 0.1 * 6e-5)
