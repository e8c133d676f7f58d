"""Files in strips: the same integers, less memory or the word that there is not, and files that stay as they were."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.recipes import make_recipe
from tests.support.tflite_models import STEP, graph, integers, random_image, run
from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.export.structure import tflite_faults
from u3p_edge.export.tflite import converter, schema
from u3p_edge.export.tflite.reader import read_graph
from u3p_edge.export.tflite.writer import write_tflite
from u3p_edge.graph import memory
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.graph.scheme import Quantization, Quantized
from u3p_edge.pipeline.tile import float_file, tile_float, tile_int8, tile_network
from u3p_edge.quantize.qat import quantize_aware
from u3p_edge.rewrite.rule import Match
from u3p_edge.rewrite.rules.separable import Separable

SHAPE = (64, 48, 1)
WIDE = 16
PIXELS = SHAPE[0] * SHAPE[1]
WHOLE = 2 * WIDE * PIXELS
"""Bytes in int8 while the second wide map is computed from the first, more than at any other node."""


def conv(name: str, source: str, channels: int, filters: int) -> Node:
    rng = np.random.default_rng(len(name))
    weights = {"kernel": rng.normal(size=(3, 3, channels, filters)).astype(np.float32), "bias": np.zeros(filters, np.float32)}
    activation = "linear" if name == "logits" else "relu"
    return Node(name, "conv", (source,), {"padding": "same", "activation": activation}, weights)


@pytest.fixture(scope="module")
def network() -> Graph:
    """Two wide maps of full size between a narrow image and a narrow mask."""
    convolutions = (conv("a", "image", 1, WIDE), conv("bb", "a", WIDE, WIDE), conv("logits", "bb", WIDE, 3))
    return graph([*convolutions, Node("mask", "activation", ("logits",), {"function": "sigmoid"})], SHAPE)


@pytest.fixture(scope="module")
def metadata() -> Metadata:
    return default_metadata(Preprocessing(*SHAPE), 3)


@pytest.fixture(scope="module")
def file(network: Graph, metadata: Metadata) -> bytes:
    """The network in integers whose sigmoid is not saturated: a logit's step of 0.05 over 256 steps."""
    made = integers(network, bb=Quantization(2.0, -128), logits=STEP, mask=Quantization(1 / 256, -128))
    return write_tflite(made, metadata)


def operators(data: bytes) -> int:
    return len(schema.parse_tflite(data).operators)


def arena(data: bytes) -> int:
    found = read_graph(schema.parse_tflite(data))
    assert isinstance(found, Quantized)
    hidden = frozenset(node.name for node in found.graph.nodes if node.name not in found.scheme.tensors)
    return memory.plan_memory(found.graph, bytes_per_element=1, fused=hidden).peak


@pytest.mark.parametrize("count", [2, 3, 4])
def test_strips_are_the_same_integers(file: bytes, metadata: Metadata, count: int) -> None:
    done, notes = tile_int8(file, metadata, make_recipe(tiles=count))
    image = random_image(SHAPE, np.int8)
    before, after = run(file, image), run(done, image)
    assert len(np.unique(before)) > 50, "a flat map would hide a wrong row"
    # Each strip's sums are the same int32 sums, rounded by the same scales.
    np.testing.assert_array_equal(after, before)
    assert operators(done) > count * 3
    assert len(notes) == 1
    assert f"depth first in {count} strips" in notes[0]
    assert arena(done) < arena(file)


def test_strips_keep_float_ends(file: bytes, metadata: Metadata) -> None:
    done, _ = tile_int8(file, metadata, make_recipe(tiles=2, float_io=True))
    kinds = [
        schema.parse_tflite(done).tensors[place].dtype
        for place in (*schema.parse_tflite(done).inputs, *schema.parse_tflite(done).outputs)
    ]
    assert kinds == ["float32", "float32"]


def test_a_budget_is_met_by_strips(file: bytes, metadata: Metadata) -> None:
    assert arena(file) == WHOLE
    budget = 0.75 * WHOLE
    done, (note,) = tile_int8(file, metadata, make_recipe(memory_budget_mb=budget / 1e6))
    assert arena(done) <= budget
    assert f"instead of {WHOLE / 1e6:.2f}, for " in note
    assert "above the budget" not in note


def test_a_budget_that_the_whole_maps_meet_needs_no_strips(file: bytes, metadata: Metadata) -> None:
    done, notes = tile_int8(file, metadata, make_recipe(memory_budget_mb=WHOLE / 1e6))
    assert notes == ()
    assert operators(done) == operators(file)


def test_a_budget_that_nothing_meets_is_said(file: bytes, metadata: Metadata) -> None:
    # Image and mask alone have 4 channels of full size, which no strips make smaller.
    budget = 4 * PIXELS / 1e6 / 2
    done, (note,) = tile_int8(file, metadata, make_recipe(memory_budget_mb=budget))
    assert arena(done) > 1e6 * budget
    assert note.endswith(f"**That is above the budget of {budget:g} MB; no number of strips meets it.**")


def test_an_unmet_budget_is_said_without_strips_too() -> None:
    """Nothing to cut: a single pixel a row and column."""
    single = graph([conv("a", "image", 1, 4)], (1, 1, 1))
    done = tile_network(single, make_recipe(memory_budget_mb=1e-6), bytes_per_element=1)
    assert done.graph == single
    (note,) = done.notes
    assert note.startswith("Without strips the arena plan needs ")
    assert "above the budget of 1e-06 MB" in note


def test_one_strip_is_the_whole_map(network: Graph, file: bytes, metadata: Metadata) -> None:
    done, notes = tile_int8(file, metadata, make_recipe(tiles=1))
    assert (notes, operators(done)) == ((), operators(file))
    image = random_image(SHAPE, np.int8)
    np.testing.assert_array_equal(run(done, image), run(file, image))
    assert tile_network(network, make_recipe(tiles=1), bytes_per_element=4).graph is network


def test_a_file_nothing_was_asked_of_keeps_its_bytes(file: bytes, metadata: Metadata) -> None:
    assert tile_int8(file, metadata, make_recipe(rewrite=False)) == (file, ())


def test_more_strips_than_rows_are_refused(file: bytes, metadata: Metadata) -> None:
    with pytest.raises(ConfigError, match=r"cannot run in 60 tiles.*Choose fewer"):
        tile_int8(file, metadata, make_recipe(tiles=60))


def test_a_float_file_is_no_int8_file(network: Graph, metadata: Metadata) -> None:
    with pytest.raises(ModelError, match="is not int8"):
        tile_int8(write_tflite(network, metadata), metadata, make_recipe(tiles=2))


# --- float32


def test_a_float_file_in_strips_is_the_same_function(network: Graph, metadata: Metadata) -> None:
    done = tile_float(network, make_recipe(tiles=4))
    assert "4 strips" in done.notes[0]
    image = random_image(SHAPE, np.float32)
    before, after = (run(float_file(each, metadata, no_converter), image) for each in (network, done.graph))
    # At most 9 * 16 products a sum, added in another order where a kernel's tiles begin elsewhere: relative
    # sqrt(144) * 2^-24 in each of three layers of values below 16 * 3 * 3 * 3; a probability takes a quarter of it.
    np.testing.assert_allclose(after, before, rtol=0, atol=3 * 12 * 2**-24 * 432 / 4)


def no_converter() -> bytes:
    raise AssertionError("our writer knows this graph")


@pytest.fixture(scope="module")
def layer_normalised() -> Graph:
    ones = {"gamma": np.ones(WIDE, np.float32), "beta": np.zeros(WIDE, np.float32)}
    normed = Node("normed", "layer_norm", ("a",), {}, ones)
    return graph([conv("a", "image", 1, WIDE), normed, conv("logits", "normed", WIDE, 3)], SHAPE)


def test_a_float_graph_that_only_the_converter_knows_stays_whole(layer_normalised: Graph, metadata: Metadata) -> None:
    done = tile_float(layer_normalised, make_recipe(tiles=2))
    assert done.graph is layer_normalised
    assert done.plan is None
    (note,) = done.notes
    assert note.startswith("The float32 file stays as the converter wrote it, without strips: ")
    assert "normed" in note
    assert float_file(done.graph, metadata, lambda: b"the converter's") == b"the converter's"


def test_an_int8_file_that_no_graph_can_say_stays_with_a_note(metadata: Metadata) -> None:
    file = converted_with_layer_norm(metadata)
    done, (note,) = tile_int8(file, metadata, make_recipe(tiles=2))
    assert done == file
    assert note.startswith("The int8 file stays as the converter wrote it, without strips: ")


def converted_with_layer_norm(metadata: Metadata) -> bytes:
    from tf_keras import Model, layers

    from u3p_edge.export.tflite.converter import convert_int8

    image = layers.Input(SHAPE, name="image")
    x = layers.LayerNormalization()(layers.Conv2D(4, 3, padding="same")(image))
    model = Model(image, layers.Conv2D(3, 1, activation="softmax", name="mask")(x))
    return convert_int8(model, metadata, calibration=np.stack([random_image(SHAPE, np.float32, seed)[0] for seed in range(2)]))


def test_a_converted_unet_in_strips_is_the_same_integers() -> None:
    from tests.support.int8_models import blobs, unet, with_statistics
    from u3p_edge.export.tflite.converter import convert_int8

    images, _ = blobs(4)
    metadata = default_metadata(Preprocessing(32, 32, 1), 3)
    whole = convert_int8(with_statistics(unet(classes=3)), metadata, calibration=images)
    scale = schema.parse_tflite(whole).tensors[schema.parse_tflite(whole).inputs[0]].scale[0]
    for count in (1, 2, 4):  # one: our writer's file of the converter's integers
        done, _ = tile_int8(whole, metadata, make_recipe(tiles=count))
        for image in images:
            integers = np.clip(np.round(image[None] / scale), -128, 127).astype(np.int8)
            np.testing.assert_array_equal(run(done, integers), run(whole, integers))


# Gathered sums


@pytest.mark.parametrize("method", ["post-training", "quantization-aware"])
def test_the_sums_of_a_separable_branch_are_gathered_from_the_converters_file(method: str, metadata: Metadata) -> None:
    """From small maps of 16x12: what training and the converter saw is crops, interpolations, shifts and additions."""
    kernel = np.random.default_rng(2).normal(size=(3, 3, 4, 4)).astype(np.float32)
    branch = graph(
        [
            conv("a", "image", 1, 4),
            Node("small", "max_pool", ("a",), {"pool_size": (4, 4), "strides": (4, 4)}),
            Node("up", "upsample", ("small",), {"size": (4, 4), "interpolation": "bilinear"}),
            Node("bb", "conv", ("up",), {"padding": "same", "activation": "relu"}, {"kernel": kernel}),
            conv("logits", "bb", 4, 3),
            Node("mask", "activation", ("logits",), {"function": "sigmoid"}),
        ],
        SHAPE,
    )
    match = Separable().match(branch, "bb")
    assert isinstance(match, Match)
    model = to_keras(Separable().rewrite(branch, match))
    images = np.random.default_rng(3).random((4, *SHAPE), dtype=np.float32)
    if method == "post-training":
        file = converter.convert_int8(model, metadata, calibration=images)
    else:
        file = converter.convert_int8(quantize_aware(model, images), metadata, calibration=None)
    done, _ = tile_int8(file, metadata, make_recipe(tiles=1))
    assert tflite_faults(schema.parse_tflite(done), int8=True, float_io=False) == ()
    codes = [op.code for op in schema.parse_tflite(done).operators]
    assert codes.count("RESIZE_BILINEAR") == codes.count("ADD") == 0
    # Along either axis four phases: two of the first, the inner and the last places, two that treat all places alike.
    assert codes.count("DEPTHWISE_CONV_2D") == 2 * (2 * 3 + 2)
    image = random_image(SHAPE, np.int8)
    before, after = run(file, image).astype(int), run(done, image).astype(int)
    assert before.std() > 10
    # Before, a value was rounded in three interpolations and two sums along each axis, now once; all else is the same.
    real = np.asarray(model((image.astype(np.float32) + 128) / 255, training=False)) * 256 - 128
    errors = [float(np.abs(found - real).mean()) for found in (before, after)]
    assert errors[1] < errors[0]
