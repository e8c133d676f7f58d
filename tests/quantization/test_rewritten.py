"""Quantizing what the rewrites make: shifts, differences, views of rows as columns, and long sums."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import tf_keras
from tf_keras import layers

from tests.support.int8_models import Int8File, assert_near, blobs, quantize_aware, ranges
from tests.support.oracles import convert_int8
from tests.support.rewritten_model import by_hand, conv, shift
from tests.support.slow import mark_slow
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.structure import tflite_faults
from u3p_edge.conversion.tflite.schema import TFLiteGraph, parse_tflite
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.graph.keras_own import CropMaps, DepthToSpace, SpaceToDepth
from u3p_edge.quantization.placement import LOGIT_BOUND, Placement, place_quantizers
from u3p_edge.rewriting.rule import Match, Rule
from u3p_edge.rewriting.rules.separable import Separable
from u3p_edge.rewriting.rules.winograd import Winograd

MOVES_VALUES = (
    "STRIDED_SLICE", "PAD", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "MAX_POOL_2D", "SPACE_TO_DEPTH",
    "DEPTH_TO_SPACE",
)  # fmt: skip


def rewritten(model: tf_keras.Model, rules: tuple[Rule, ...]) -> Graph:
    """The folded model with the first rule that fits applied to every convolution."""
    graph = fold_batch_norm(from_keras(model))
    for node in graph.nodes:
        for rule in rules:
            match = rule.match(graph, node.name)
            if isinstance(match, Match):
                graph = rule.rewrite(graph, match)
                break
    return graph


def counts(file: TFLiteGraph) -> Counter[str]:
    return Counter(op.code for op in file.operators)


def post_training(model: tf_keras.Model, images: np.ndarray) -> TFLiteGraph:
    height, width, channels = model.input_shape[1:]
    metadata = default_metadata(Preprocessing(height, width, channels), max(2, model.output_shape[-1]))
    return parse_tflite(convert_int8(model, metadata, calibration=images))


def assert_integer_kernels_only(graph: Graph, file: TFLiteGraph) -> None:
    """One integer operator a node, ReLU inside those before it, nothing requantized, no scale changed where values move.
    (The converter may share crops and shifts of the same map, so those are not counted.)"""
    assert tflite_faults(file, int8=True, float_io=False) == ()
    operators = counts(file)
    assert {"QUANTIZE", "DEQUANTIZE", "RELU"}.isdisjoint(operators)
    for op, code in {"conv": "CONV_2D", "add": "ADD", "subtract": "SUB", "concat": "CONCATENATION"}.items():
        assert operators[code] == sum(node.op == op for node in graph.nodes)
    for operator in file.operators:
        given, result = (file.tensors[ends[0]] for ends in (operator.inputs, operator.outputs))
        if operator.code in MOVES_VALUES:
            assert (given.scale, given.zero_point) == (result.scale, result.zero_point), operator.code


def test_sums_and_differences_have_ranges_and_what_moves_values_has_none() -> None:
    assert dict(place_quantizers(fold_batch_norm(from_keras(by_hand())))) == {
        "encoder": Placement.RANGE,
        "deep": Placement.RANGE,
        "up_a": Placement.RANGE,
        "up_b": Placement.RANGE,
        "up_c": Placement.RANGE,
        "up_rows": Placement.RANGE,  # "up_sum" and "up" are one kernel, written in the scale of "joined"
        "skip_t0": Placement.RANGE,
        "skip_t1": Placement.RANGE,
        "skip_m0": Placement.RANGE,
        "skip_m1": Placement.RANGE,  # "skip_pair" too is in the scale of "joined", and so are both that it joins
        "joined": Placement.RANGE,
        "head_t0": Placement.RANGE,
        "head_t1": Placement.RANGE,
        "head_m0": Placement.RANGE,
        "head_m1": Placement.RANGE,
        "head_pair": Placement.LOGITS,  # through the reshape
        "mask": Placement.PROBABILITY,
    }


def test_networks_by_hand_agree_in_integers() -> None:
    model, (images, _) = by_hand(), blobs(8, 16)
    quantized = quantize_aware(model, images)
    file = Int8File(quantized)
    assert_integer_kernels_only(fold_batch_norm(from_keras(model)), parse_tflite(file.content))
    assert_near(model, quantized, file, blobs(8, 16, seed=4)[0])
    assert_integer_kernels_only(fold_batch_norm(from_keras(model)), post_training(model, images))


def chain(middle: str) -> tf_keras.Model:
    """conv, one thing that rewrites make, conv, sigmoid; the range that decides the last convolution's input is "range"."""
    tf_keras.utils.set_random_seed(5)
    image = layers.Input((16, 16, 1), name="image")
    ending = {"name": "range"} if middle in ("shift", "crop rows", "blocks", "resize") else {}
    x = layers.Conv2D(4, 3, padding="same", **ending)(image)  # linear: zero is not the smallest value
    if middle == "shift":
        x = shift(x, (1, -2))
    elif middle == "crop rows":
        x = layers.Cropping2D(((0, 0), (16, 0)))(layers.Reshape((8, 32, 4))(x))
    elif middle == "blocks":
        x = DepthToSpace(2)(CropMaps(((1, 0), (0, 1)), (3, 15))(SpaceToDepth(2)(x)))
    elif middle == "resize":
        x = layers.UpSampling2D((1, 4), interpolation="bilinear")(x)
    elif middle == "subtract":
        x = layers.Subtract(name="range")([x, layers.Conv2D(4, 1)(image)])
    elif middle == "subtract relu":
        x = layers.ReLU(name="range")(layers.Subtract()([x, layers.Conv2D(4, 1)(image)]))
    else:
        axis = {"join rows": 1, "join columns": 2}[middle]
        x = layers.Concatenate(axis=axis, name="range")([x, layers.Conv2D(4, 1, activation="relu")(image)])
    x = layers.Conv2D(1, 3, padding="same", name="logits")(x)
    return tf_keras.Model(image, layers.Activation("sigmoid", name="mask")(x))


@pytest.mark.parametrize(
    "middle",
    mark_slow(
        ["shift", "crop rows", "blocks", "resize", "subtract", "subtract relu", "join rows", "join columns"],
        slow=["subtract", "join columns"],
    ),
)
def test_integer_file_computes_what_the_fake_quant_model_does_op_by_op(middle: str) -> None:
    """As derived in test_qat: at most 2 steps at the last convolution's input (3 behind a difference, whose two terms may
    each be one off), by the sum of its |kernel|, a step of the logits, the sigmoid's slope of 1/4 and the last rounding.
    A border filled with integer 0 instead of the zero point would be off by far more."""
    model, (images, _) = chain(middle), blobs(6, 16, seed=1)
    quantized = quantize_aware(model, images)
    low, high = ranges(quantized)["range"]
    kernel = fold_batch_norm(from_keras(model))["logits"].weights["kernel"]
    steps = 3 if middle.startswith("subtract") else 2
    worst = steps * (high - low) / 255 * np.abs(kernel).sum() + 2 * LOGIT_BOUND / 255
    file = Int8File(quantized)
    assert_integer_kernels_only(fold_batch_norm(from_keras(model)), parse_tflite(file.content))
    difference = 256 * np.abs(file.run(images) - quantized(images, training=False).numpy())
    assert difference.max() <= 256 * worst / 4 + 1
    assert difference.mean() < (1.5 if middle in ("subtract", "subtract relu", "resize") else 0.5)


def plain() -> tf_keras.Model:
    """What the rules rewrite: a branch over an upsampled map, one beside it, a fusion, a head."""
    tf_keras.utils.set_random_seed(7)
    image = layers.Input((16, 16, 1), name="image")
    first = conv(image, 4, 3, "encoder", activation="relu")
    deep = conv(layers.MaxPooling2D(4)(first), 6, 1, "deep", activation="relu")
    up = conv(layers.UpSampling2D(4, interpolation="bilinear")(deep), 4, 3, "up", activation="relu")
    joined = layers.Concatenate(name="joined")([up, conv(first, 4, 3, "skip", activation="relu")])
    return tf_keras.Model(image, layers.Activation("sigmoid", name="mask")(conv(joined, 1, 3, "head")))


@pytest.mark.slow  # the network by hand has what the rules make
@pytest.mark.parametrize("winograd", [Winograd("rows"), Winograd("both")], ids=lambda rule: rule.name)
def test_what_the_rules_make_is_integer_without_requantizing(winograd: Winograd) -> None:
    graph, (images, _) = rewritten(plain(), (Separable(), winograd)), blobs(8, 16)
    model = to_keras(graph)
    quantized = quantize_aware(model, images)
    file = Int8File(quantized)
    assert_integer_kernels_only(graph, parse_tflite(file.content))
    assert_near(model, quantized, file, blobs(8, 16, seed=4)[0])
    assert_integer_kernels_only(graph, post_training(model, images))
