"""Fine-tuning under fake-quant: it learns, keeps its best epoch, repeats itself and leaves its arguments alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras import layers

from tests.support.busy import busy_machine
from tests.support.int8_models import Int8File, blobs, one_hot
from tests.support.recorded_progress import RecordedProgress
from u3p_edge.errors import ConfigError, DataError
from u3p_edge.quantization.fake_quant import FakeQuantized
from u3p_edge.quantization.finetune import train_qat


def cross_entropy(truth: tf.Tensor, probabilities: tf.Tensor) -> tf.Tensor:
    chosen = tf.reduce_sum(truth * tf.math.log(probabilities + 1e-6), axis=-1)
    return -tf.reduce_mean(chosen, axis=(1, 2))


def small_net() -> tf_keras.Model:
    tf_keras.utils.set_random_seed(3)
    image = layers.Input((16, 16, 1), name="image")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="one")(image)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    deep = layers.Conv2D(4, 3, padding="same", activation="relu", name="two")(layers.MaxPooling2D()(x))
    x = layers.Concatenate()([x, layers.UpSampling2D(2, interpolation="bilinear")(deep)])
    return tf_keras.Model(image, layers.Conv2D(3, 1, activation="softmax", name="mask")(x))


IMAGES, LABELS = blobs(12, 16)
TRUTH = one_hot(LABELS, 3)


def loss_of(model: tf_keras.Model) -> float:
    return float(np.mean(cross_entropy(TRUTH, model(IMAGES, training=False))))


def test_training_lowers_the_loss_of_the_integer_file() -> None:
    model = small_net()
    before = [array.copy() for array in model.get_weights()]
    scores: list[float] = []
    progress = RecordedProgress()

    def validate(candidate: tf_keras.Model) -> float:
        scores.append(-loss_of(candidate))
        return scores[-1]

    trained = train_qat(
        model, IMAGES, LABELS, loss=cross_entropy, validate=validate, epochs=6, learning_rate=0.02, batch_size=5,
        distillation=0.0, progress=progress,
    ).model  # fmt: skip
    start = loss_of(train_qat(model, IMAGES, LABELS, loss=cross_entropy, validate=lambda _: 0.0, epochs=0).model)
    assert loss_of(trained) < 0.8 * start
    integer = Int8File(trained).run(IMAGES)
    assert float(np.mean(cross_entropy(TRUTH, tf.constant(integer)))) < 0.8 * start
    assert len(scores) == 1 + 6, "epoch 0 competes too"
    assert -loss_of(trained) == pytest.approx(max(scores), abs=1e-6)
    assert progress.stages == [("Train under fake quantization", 6 * 3)]
    assert progress.done.total() == 6 * 3
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)), "the float model is untouched"


@pytest.mark.parametrize("best", [0, 2])
def test_the_best_epoch_is_kept(best: int) -> None:
    snapshots: list[list[np.ndarray]] = []

    def validate(candidate: tf_keras.Model) -> float:
        snapshots.append(candidate.get_weights())
        return 1.0 if len(snapshots) - 1 == best else (float("nan") if len(snapshots) == 1 else 0.5)

    trained = train_qat(small_net(), IMAGES, LABELS, loss=cross_entropy, validate=validate, epochs=3, learning_rate=0.01).model
    assert all(np.array_equal(a, b) for a, b in zip(trained.get_weights(), snapshots[best], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(trained.get_weights(), snapshots[3], strict=True))


@pytest.mark.slow  # tests/pipeline/test_lock.py replays a whole export beside busy programs
def test_a_seed_an_epoch_and_ranges_give_the_same_model_bit_for_bit_also_beside_busy_programs() -> None:
    snapshots: list[list[np.ndarray]] = []

    def validate(candidate: tf_keras.Model) -> float:
        snapshots.append(candidate.get_weights())
        return float(len(snapshots))

    def train(epochs: int, seed: int = 1, **more: Any) -> FakeQuantized:
        scored = {"validate": validate, "learning_rate": 0.01, "seed": seed, **more}
        return train_qat(small_net(), IMAGES, LABELS, loss=cross_entropy, epochs=epochs, **scored)

    idle = train(2)
    assert idle.epoch == 2
    start, first, _ = list(snapshots)
    with busy_machine():
        busy = train(2, ranges=idle.ranges, keep_epoch=1)
    assert (busy.epoch, busy.ranges) == (1, idle.ranges)
    for one, other in zip(busy.model.get_weights(), first, strict=True):
        np.testing.assert_array_equal(one, other)
    assert max(np.abs(a - b).max() for a, b in zip(first, start, strict=True)) > 1e-5
    another = train(1, seed=2).model.get_weights()
    assert max(np.abs(a - b).max() for a, b in zip(first, another, strict=True)) > 1e-6
    worst = max(idle.errors, key=lambda method: idle.errors[method])
    forced = train(0, ranges=worst)
    assert (forced.epoch, forced.ranges, forced.errors) == (0, worst, idle.errors)
    with pytest.raises(ConfigError, match="epoch 4 cannot be kept of 3"):
        train(3, keep_epoch=4)


def _later() -> Callable[[tf_keras.Model], float]:
    """A validation that likes every epoch better than the one before."""
    scores = iter(range(100))
    return lambda _: float(next(scores))


def test_distillation_holds_on_to_the_float_model() -> None:
    """Labels that are all wrong pull away from the float model's masks; its weight in the loss holds against it."""
    model = small_net()
    soft, wrong = model(IMAGES).numpy(), ((LABELS + 1) % 3).astype(np.uint8)

    def distance(distillation: float) -> float:
        trained = train_qat(
            model, IMAGES, wrong, loss=cross_entropy, validate=_later(), epochs=3, learning_rate=0.01, distillation=distillation
        ).model
        return float(np.square(trained(IMAGES, training=False).numpy() - soft).mean())

    assert distance(100.0) < 0.3 * distance(0.0)


@pytest.mark.parametrize("wrong", [{"epochs": -1}, {"batch_size": 0}, {"learning_rate": 0.0}, {"distillation": -1.0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="QAT cannot train"):
        train_qat(small_net(), IMAGES, LABELS, loss=cross_entropy, validate=lambda _: 0.0, **wrong)  # type: ignore[arg-type]


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="as many labels as images"):
        train_qat(small_net(), IMAGES, LABELS[:3], loss=cross_entropy, validate=lambda _: 0.0)
