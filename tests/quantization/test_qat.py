"""The fake-quant model: where its quantizers stand, and that the integer file made of it computes the same."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tf_keras import layers

from tests.support.int8_models import (
    Int8File,
    assert_near,
    assert_same_labels,
    blobs,
    every_op,
    one_hot,
    quantize_aware,
    ranges,
    unet,
    with_statistics,
)
from tests.support.slow import mark_slow
from u3p_edge.errors import DataError, ModelError
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.quantization.fake_quant import fake_quantize
from u3p_edge.quantization.finetune import train_qat
from u3p_edge.quantization.integers import RANGE_FLOOR, kernel_bounds
from u3p_edge.quantization.placement import LOGIT_BOUND, TOP_PROBABILITY, Placement, place_quantizers
from u3p_edge.quantization.quantizers import FixedQuantizer, KernelQuantizer

MOVES_VALUES = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REDUCE_MAX", "RESHAPE")


# --- placement


def test_one_fake_quant_ends_every_fused_kernel_of_every_op_and_none_moves_values() -> None:
    placements = place_quantizers(fold_batch_norm(from_keras(every_op())))
    assert dict(placements) == {
        "first": Placement.RANGE,  # conv + norm + ReLU in one; read by the concatenation and by others, so it keeps its own
        "left": Placement.RANGE,
        "right": Placement.RANGE,
        "residual": Placement.RANGE,  # the addition before it has none: ADD clamps by itself
        "strided": Placement.RANGE,
        "deep": Placement.RANGE,
        "joined": Placement.RANGE,  # shared by "up_branch", which has none
        "norm_alone": Placement.RANGE,
        "fuse": Placement.RANGE,
        "logits": Placement.RANGE,
        "softmax": Placement.PROBABILITY,
        "gate_conv": Placement.LOGITS,  # through the pooling
        "gate": Placement.PROBABILITY,
        "mask": Placement.PROBABILITY,  # through the reshape
    }


def test_unet_has_a_fake_quant_a_convolution_except_what_a_concatenation_joins() -> None:
    """Encoder 5 * 2, four decoders of 5 branches and a fusion, a head: 35 convolutions; 20 branches write in the scale of
    their concatenation, of which there are 4; the head's logits are read by the sigmoid alone."""
    kinds = list(place_quantizers(fold_batch_norm(from_keras(unet(normalization="none")))).values())
    assert kinds.count(Placement.RANGE) == 35 - 4 * 5 + 4 - 1
    assert kinds.count(Placement.LOGITS) == 1
    assert kinds.count(Placement.PROBABILITY) == 1


def test_a_model_that_ends_in_logits_is_refused() -> None:
    image = layers.Input((8, 8, 1), name="image")
    with pytest.raises(ModelError, match="'mask' is not a probability"):
        quantize_aware(tf_keras.Model(image, layers.Conv2D(1, 3, name="mask")(image)), blobs(1, 8)[0])


def test_several_outputs_are_refused() -> None:
    image = layers.Input((8, 8, 1), name="image")
    heads = [layers.Conv2D(1, 1, activation="sigmoid", name=name)(image) for name in ("a", "b")]
    with pytest.raises(ModelError, match="one input and one output"):
        quantize_aware(tf_keras.Model(image, heads), blobs(1, 8)[0])


@pytest.mark.parametrize("images", [np.zeros((0, 8, 8, 1)), np.zeros((1, 8, 4, 1)), np.full((1, 8, 8, 1), np.nan)])
def test_calibration_images_that_cannot_be_are_refused(images: np.ndarray) -> None:
    image = layers.Input((8, 8, 1), name="image")
    model = tf_keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(image))
    with pytest.raises(DataError, match="calibration wants finite images"):
        quantize_aware(model, images.astype(np.float32))


# --- ranges


def test_ranges_are_those_of_the_float_model_on_the_calibration_images() -> None:
    model = every_op()
    images, _ = blobs(4, 16)
    float_sum = tf_keras.Model(model.input, model.get_layer("residual").output)(images).numpy()
    logits = tf_keras.Model(model.input, model.get_layer("logits").output)(images).numpy()
    result = ranges(quantize_aware(model, images))
    # Float rounding only: the folded model computes the same values in another order.
    assert result["residual"] == pytest.approx((0.0, float_sum.max()), rel=1e-4)
    assert result["logits"] == pytest.approx((logits.min(), logits.max()), rel=1e-4)
    assert result["image_int8"] == pytest.approx((images.min(), images.max()))


def test_a_dead_map_and_a_dead_channel_have_a_range_all_the_same() -> None:
    image = layers.Input((16, 16, 1), name="image")
    dead = layers.Conv2D(2, 3, padding="same", activation="relu", name="dead")(image)
    model = tf_keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid", name="mask")(dead))
    model.get_layer("dead").set_weights([np.zeros((3, 3, 1, 2), np.float32), np.array([-1, 0], np.float32)])
    images, _ = blobs(2, 16)
    quantized = quantize_aware(model, images)
    assert ranges(quantized)["dead"] == (0.0, pytest.approx(RANGE_FLOOR))
    bound = kernel_bounds(np.array([[[[0.0, 2.0]]]], np.float32))
    assert bound[1] == 2.0
    assert 0 < bound[0] < 1e-3 * bound[1]
    # The result is sigmoid(bias) = 0.5 exactly, 128 steps of 1/256.
    np.testing.assert_array_equal(quantized(images).numpy(), 0.5)
    np.testing.assert_array_equal(Int8File(quantized).run(images), 0.5)


def test_fixed_ranges_are_the_steps_of_an_int8_probability() -> None:
    """Beyond the bound a probability rounds to its first or last int8 value, so the bound costs nothing."""
    assert 256 / (1 + np.exp(-LOGIT_BOUND)) > 255.5
    assert 256 / (1 + np.exp(LOGIT_BOUND)) < 0.5
    assert TOP_PROBABILITY / 255 == 1 / 256


def test_quantizers_pass_gradients_where_the_integer_values_saturate() -> None:
    """A confident mistake must still be able to learn."""
    x = tf.constant([-20.0, 0.0, 20.0])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = FixedQuantizer(-LOGIT_BOUND, LOGIT_BOUND)(x, True, {})
    assert tape.gradient(y, x).numpy().tolist() == [1.0, 1.0, 1.0]
    assert np.abs(FixedQuantizer(-LOGIT_BOUND, LOGIT_BOUND)(x, False, {}).numpy()).max() < 6.3


def test_kernel_quantizer_is_symmetric_int8_per_output_channel() -> None:
    kernel = tf.random.stateless_normal((3, 3, 2, 4), seed=(1, 2)) * tf.constant([1.0, 10.0, 0.1, 3.0])
    weights = {"min_var": tf.Variable(tf.zeros(4)), "max_var": tf.Variable(tf.zeros(4))}
    quantized = KernelQuantizer()(kernel, True, weights).numpy()
    largest = np.abs(kernel.numpy()).max(axis=(0, 1, 2))
    steps = quantized / (largest / 127)
    # float32: 127 levels carry a relative error of some 1e-7 each.
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert np.abs(steps).max() == pytest.approx(127, abs=1e-3)
    assert np.abs(quantized - kernel).max(axis=(0, 1, 2)) == pytest.approx(largest / 254, rel=0.3)


# --- the integer file


@pytest.fixture(scope="module")
def converted() -> tuple[tf_keras.Model, Int8File]:
    quantized = quantize_aware(every_op(), blobs(8, 16)[0])
    return quantized, Int8File(quantized)


def test_file_of_every_op_is_integer_throughout(converted: tuple[tf_keras.Model, Int8File]) -> None:
    _, file = converted
    assert {t.dtype for op in file.ops for t in (*op.inputs, *op.outputs)} == {"int8", "int32"}
    counts = file.counts
    # "first" and "near" into the concatenation's scale, unless it is their own; "up_branch" is written in it.
    assert counts.pop("QUANTIZE") <= 2
    assert counts == {
        "CONV_2D": 10,  # 9 of the model's, and norm_alone
        "ADD": 1,
        "AVERAGE_POOL_2D": 1,
        "MAX_POOL_2D": 1,
        "RESIZE_BILINEAR": 1,
        "RESIZE_NEAREST_NEIGHBOR": 1,
        "CONCATENATION": 1,
        "REDUCE_MAX": 1,
        "LOGISTIC": 1,
        "SOFTMAX": 1,
        "MUL": 1,  # the reshape before it only adds axes, which the converter lets REDUCE_MAX keep
    }


def test_scales_of_the_file(converted: tuple[tf_keras.Model, Int8File]) -> None:
    for op in converted[1].ops:
        if op.name in MOVES_VALUES:
            assert (op.inputs[0].scales, op.inputs[0].zero_points) == (op.outputs[0].scales, op.outputs[0].zero_points), op.name
        if op.name == "CONCATENATION":
            assert {(t.scales, t.zero_points) for t in op.inputs} == {(op.outputs[0].scales, op.outputs[0].zero_points)}
        if op.name == "CONV_2D":
            kernel = op.inputs[1]
            assert len(kernel.scales) == kernel.shape[0], "one scale an output channel"
            assert set(kernel.zero_points) == {0}
        if op.name in ("LOGISTIC", "SOFTMAX", "MUL"):
            assert (op.outputs[0].scales, op.outputs[0].zero_points) == ((1 / 256,), (-128,))


def chain(middle: str) -> tf_keras.Model:
    """conv, ReLU, one op, conv, sigmoid."""
    tf_keras.utils.set_random_seed(5)
    image = layers.Input((16, 16, 1), name="image")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="before")(image)
    if middle == "add":
        x = layers.Add(name="add")([x, layers.Conv2D(4, 1, padding="same")(image)])
    elif middle == "normconv":
        x = layers.Conv2D(4, 2, strides=2, padding="same", name="strided")(layers.BatchNormalization()(x))
    elif middle == "concat":
        x = layers.Concatenate(name="concat")([x, layers.Conv2D(2, 5, padding="same", activation="relu")(image)])
    else:
        ops = {
            "max": layers.MaxPooling2D,
            "average": layers.AveragePooling2D,
            "bilinear": lambda: layers.UpSampling2D(4, interpolation="bilinear"),
            "nearest": layers.UpSampling2D,
        }
        x = ops[middle]()(x)
    x = layers.Conv2D(1, 3, padding="same", name="logits")(x)
    return with_statistics(tf_keras.Model(image, layers.Activation("sigmoid", name="mask")(x)))


@pytest.mark.parametrize(
    "middle",
    mark_slow(["max", "average", "bilinear", "nearest", "add", "normconv", "concat"], ["max", "average", "nearest"]),
)
def test_integer_file_computes_what_the_fake_quant_model_does_op_by_op(middle: str) -> None:
    """Derivation. A kernel's integer result and the fake-quant's differ by at most one step, where rounding meets a tie
    (and float32 or the bias' own rounding decides it); a resize or an average in integers rounds once more. So the last
    convolution's input is off by at most 2 steps s (3 behind a second convolution), its output by that times the sum of
    its |kernel|, plus one step t of the logits, t = 2 * 6.25 / 255. The sigmoid has slope <= 1/4; the result is rounded to
    steps of 1/256 in both. That is the worst case; ties are rare, so on average it is below half a step for what only
    moves values, and below one and a half where values are rounded again."""
    model, (images, _) = chain(middle), blobs(6, 16, seed=1)
    quantized = quantize_aware(model, images)
    folded = fold_batch_norm(from_keras(model))
    low, high = ranges(quantized)[{"normconv": "strided"}.get(middle, middle if middle in ("add", "concat") else "before")]
    step, kernel = (high - low) / 255, folded["logits"].weights["kernel"]
    worst = (3 if middle in ("normconv", "add") else 2) * step * np.abs(kernel).sum() + 2 * LOGIT_BOUND / 255
    difference = 256 * np.abs(Int8File(quantized).run(images) - quantized(images, training=False).numpy())
    assert difference.max() <= 256 * worst / 4 + 1
    assert difference.mean() < (0.5 if middle in ("max", "nearest", "concat") else 1.5)


def test_file_of_every_op_agrees_with_the_fake_quant_model(converted: tuple[tf_keras.Model, Int8File]) -> None:
    images, _ = blobs(8, 16, seed=4)
    assert_near(every_op(), *converted, images)
    assert_same_labels(every_op(), *converted, images)


def assert_integer_unet(model: tf_keras.Model, file: Int8File) -> None:
    """Int8 or int32 throughout, one kernel a convolution, and nothing requantized on the way."""
    assert {t.dtype for op in file.ops for t in (*op.inputs, *op.outputs)} == {"int8", "int32"}
    assert file.counts["QUANTIZE"] == 0
    assert file.counts["CONV_2D"] == sum(node.op == "conv" for node in fold_batch_norm(from_keras(model)).nodes)


@pytest.mark.slow  # `test_integers.py` compares every integer of a gated one
def test_unet_of_every_option_is_integer_without_requantizing() -> None:
    model = unet(3, residual=True, cgm=True, down_pattern="normconv", down_normalization="batch")
    assert_integer_unet(model, Int8File(quantize_aware(model, blobs(2)[0])))


@pytest.mark.slow  # the small networks above agree by the same measure
def test_trained_gated_unet_agrees_in_integers() -> None:
    model = unet(1, epochs=8, cgm=True)
    quantized = quantize_aware(model, blobs(16)[0])
    file = Int8File(quantized)
    assert_integer_unet(model, file)
    images, _ = blobs(8, seed=7)
    assert_near(model, quantized, file, images)
    assert_same_labels(model, quantized, file, images)


# --- outliers


def hot(images: np.ndarray) -> np.ndarray:
    """The first image with one pixel 16 times brighter than the brightest of all."""
    spoilt = images.copy()
    spoilt[0, 5, 5, 0] = 16 * images.max()
    return spoilt


def trained_chain() -> tuple[tf_keras.Model, np.ndarray]:
    """A network of two convolutions that finds what is bright, and the 16 images that it learnt from."""
    model, (images, labels) = chain("bilinear"), blobs(16, 16)
    truth = one_hot(labels, 1).repeat(4, axis=1).repeat(4, axis=2)
    model.compile(tf_keras.optimizers.Adam(0.02), "binary_crossentropy")
    model.fit(images, truth, batch_size=4, epochs=10, verbose=0)
    return model, images


def test_hot_pixels_in_calibration_images_cost_the_integer_file_nothing() -> None:
    """Bounds by percentile lie on a grid of an eighth of an octave, so a step is at most 2^(1/8) = 1.09 times that of clean
    images where their bulk is kept, and the error of rounding grows with it. What the tail beyond a percentile loses comes
    on top, and errors add up in another order: half as much again is allowed, where a step of the input by its extremes
    would be some 10 times wider."""
    model, images = trained_chain()
    unseen = blobs(8, 16, seed=7)[0]
    real = model(unseen, training=False).numpy()
    clean, spoilt = (fake_quantize(from_keras(model), given) for given in (images, hot(images)))
    assert spoilt.ranges != "extremes"
    assert spoilt.errors[spoilt.ranges] < spoilt.errors["extremes"] / 4, spoilt.errors
    assert spoilt.input_range[1] <= 1.09 * images.max()
    error_clean, error_spoilt = (np.abs(Int8File(quantized.model).run(unseen) - real).mean() for quantized in (clean, spoilt))
    assert error_spoilt <= 1.5 * error_clean


def test_training_under_hot_pixels_keeps_the_ranges() -> None:
    """The moving average of the extremes would follow the outlier."""
    model, images = chain("add"), hot(blobs(16, 16)[0])
    labels = np.zeros((16, 16, 16), np.uint8)
    start = fake_quantize(from_keras(model), images).input_range
    scores = iter((0.0, 1.0, 2.0))  # so the last epoch is kept
    trained = train_qat(
        model, images, labels, loss=lambda y, p: tf.reduce_mean(tf.square(y - p), axis=(1, 2, 3)),
        validate=lambda _: next(scores), epochs=2,
    ).model  # fmt: skip
    # Eight updates with a decay of 0.999, two of them of a batch with the outlier: unclipped, these would add 2 * 15 / 1000.
    assert ranges(trained)["image_int8"] == pytest.approx(start, rel=0.01)
