"""Tiled files: the same integers, less memory or the word that there is not, and files that stay as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.recipes import make_recipe
from tests.support.tflite_models import STEP, graph, integers, random_image, run
from u3p_edge.config.metadata import Metadata, default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.structure import tflite_faults
from u3p_edge.conversion.tflite import schema
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.errors import ConfigError
from u3p_edge.graph import memory
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.graph.scheme import Quantization, Quantized
from u3p_edge.pipeline.tile import float_file, tile_float, tile_network
from u3p_edge.quantization.ptq import quantize_ptq
from u3p_edge.rewriting.rule import Match
from u3p_edge.rewriting.rules.separable import Separable

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
def whole(network: Graph) -> Quantized:
    """The network in integers whose sigmoid is not saturated: a logit's step of 0.05 over 256 steps."""
    return integers(network, bb=Quantization(2.0, -128), logits=STEP, mask=Quantization(1 / 256, -128))


def tiled(network: Quantized, **options: Any) -> tuple[Quantized, tuple[str, ...]]:
    done = tile_network(network, make_recipe(**options))
    assert isinstance(done.network, Quantized)
    return done.network, done.notes


def arena(network: Quantized) -> int:
    hidden = frozenset(node.name for node in network.graph.nodes if node.name not in network.scheme.tensors)
    return memory.plan_memory(network.graph, bytes_per_element=1, fused=hidden).peak


@pytest.mark.parametrize("count", [2, 3, 4])
def test_tiles_are_the_same_integers(whole: Quantized, count: int) -> None:
    done, notes = tiled(whole, tiles=count)
    image = random_image(SHAPE, np.int8)
    before, after = run(write_tflite(whole), image), run(write_tflite(done), image)
    assert len(np.unique(before)) > 50, "a flat map would hide a wrong row"
    # Each tile's sums are the same int32 sums, rounded by the same scales.
    np.testing.assert_array_equal(after, before)
    assert len(done.graph.nodes) > count * 3
    assert len(notes) == 1
    assert f"Computed in {count} tiles of rows" in notes[0]
    assert arena(done) < arena(whole)


def test_a_budget_is_met_by_tiles(whole: Quantized) -> None:
    assert arena(whole) == WHOLE
    budget = 0.75 * WHOLE
    done, (note,) = tiled(whole, memory_budget_mb=budget / 1e6)
    assert arena(done) <= budget
    assert f"instead of {WHOLE / 1e6:.2f}, for " in note
    assert "above the budget" not in note


def test_a_budget_that_the_whole_maps_meet_needs_no_tiles(whole: Quantized) -> None:
    assert tiled(whole, memory_budget_mb=WHOLE / 1e6) == (whole, ())


def test_a_budget_that_nothing_meets_is_reported(whole: Quantized) -> None:
    # Image and mask alone have 4 channels of full size, which no strips make smaller.
    budget = 4 * PIXELS / 1e6 / 2
    done, (note,) = tiled(whole, memory_budget_mb=budget)
    assert arena(done) > 1e6 * budget
    assert note.endswith(f"**That is above the budget of {budget:g} MB; no number of tiles meets it.**")


def test_an_unmet_budget_is_reported_without_tiles_too() -> None:
    """Nothing to cut: a single pixel a row and column."""
    single = graph([conv("a", "image", 1, 4)], (1, 1, 1))
    done = tile_network(single, make_recipe(memory_budget_mb=1e-6))
    assert done.network == single
    (note,) = done.notes
    assert note.startswith("Without tiles the arena plan needs ")
    assert "above the budget of 1e-06 MB" in note


def test_one_tile_is_the_whole_map(network: Graph, whole: Quantized) -> None:
    assert tiled(whole, tiles=1) == (whole, ())
    assert tile_network(network, make_recipe(tiles=1)).network is network


def test_a_network_nothing_was_asked_of_stays_as_it_is(whole: Quantized) -> None:
    assert tile_network(whole, make_recipe(rewrite=False)).network is whole


def test_more_tiles_than_rows_are_refused(whole: Quantized) -> None:
    with pytest.raises(ConfigError, match=r"cannot run in 60 tiles.*Choose fewer"):
        tiled(whole, tiles=60)


# --- float32


def test_a_float_file_in_tiles_is_the_same_function(network: Graph, metadata: Metadata) -> None:
    done = tile_float(network, make_recipe(tiles=4))
    assert "4 tiles of rows" in done.notes[0]
    image = random_image(SHAPE, np.float32)
    before, after = (run(float_file(each, metadata, no_converter), image) for each in (network, done.network))
    # At most 9 * 16 products a sum, added in another order where a kernel's tiles begin elsewhere: relative
    # sqrt(144) * 2^-24 in each of three layers of values below 16 * 3 * 3 * 3; a probability takes a quarter of it.
    np.testing.assert_allclose(after, before, rtol=0, atol=3 * 12 * 2**-24 * 432 / 4)


def no_converter() -> bytes:
    raise AssertionError("our writer knows this graph")


def test_a_float_graph_that_only_the_converter_knows_stays_whole(metadata: Metadata) -> None:
    mish = Node("bent", "activation", ("a",), {"function": "mish"})
    foreign = graph([conv("a", "image", 1, WIDE), mish, conv("logits", "bent", WIDE, 3)], SHAPE)
    done = tile_float(foreign, make_recipe(tiles=2))
    assert done.network is foreign
    assert done.plan is None
    (note,) = done.notes
    assert note.startswith("The float32 file stays as the converter wrote it, without tiles: ")
    assert "bent" in note
    assert float_file(done.network, metadata, lambda: b"the converter's") == b"the converter's"


# Gathered sums


def test_the_sums_of_a_separable_branch_are_fused_after_quantization() -> None:
    """From small maps of 16x12: what quantization saw is crops, interpolations, shifts and additions."""
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
    whole = quantize_ptq(from_keras(model), images)
    done, _ = tiled(whole, tiles=1)
    file, laid = write_tflite(whole), write_tflite(done)
    assert tflite_faults(schema.parse_tflite(laid), int8=True, float_io=False) == ()
    codes = [op.code for op in schema.parse_tflite(laid).operators]
    assert codes.count("RESIZE_BILINEAR") == codes.count("ADD") == 0
    # Along either axis four phases: two of the first, the inner and the last places, two that treat all places alike.
    assert codes.count("DEPTHWISE_CONV_2D") == 2 * (2 * 3 + 2)
    image = random_image(SHAPE, np.int8)
    before, after = run(file, image).astype(int), run(laid, image).astype(int)
    assert before.std() > 10
    # Before, a value was rounded in three interpolations and two sums along each axis, now once; all else is the same.
    real = np.asarray(model((image.astype(np.float32) + 128) / 255, training=False)) * 256 - 128
    errors = [float(np.abs(result - real).mean()) for result in (before, after)]
    assert errors[1] < errors[0]
