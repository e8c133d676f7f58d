"""Shaped networks in the rooms behind: pruned, rewritten, tiled, trained under fake quantization, and written to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.support.int8_models import blobs
from tests.support.prunable_graphs import assert_pruned_as_masked, thinned
from tests.support.rule_checks import deviation
from tests.support.shaped_unets import CLASSES, SIDE, WIDTH, inference_unet, training_unet
from u3p_edge.config.metadata import default_metadata
from u3p_edge.config.preprocessing import Preprocessing
from u3p_edge.conversion.onnx.writer import write_onnx
from u3p_edge.conversion.tflite.schema import parse_tflite
from u3p_edge.conversion.tflite.writer import write_tflite
from u3p_edge.distill.decoder import decoder_maps
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.ir import Graph
from u3p_edge.graph.keras_io import to_keras
from u3p_edge.pipeline.verify import verify_files
from u3p_edge.progress import silent
from u3p_edge.pruning.dependency import find_groups
from u3p_edge.pruning.shape_only_graph import ShapeOnlyGraph
from u3p_edge.quantization.fake_quant import FakeQuantized, fake_quantize, read_integers
from u3p_edge.rewriting.engine import REFERENCE, Selection, apply_selections, find_sites
from u3p_edge.rewriting.passes import RULES, apply_fusions
from u3p_edge.rewriting.rule import Match, Refusal
from u3p_edge.rewriting.tiling.transform import TiledGraph, tile_node
from u3p_edge.runtime.keras import keras_session
from u3p_edge.shapes.apply import apply_shape
from u3p_edge.shapes.shape import Shape

SHAPES = pytest.mark.parametrize(
    "shape",
    [Shape(2, 1, "full", "concat"), Shape(4, 1, "plain", "add"), Shape(2, 2, "full", "add")],
    ids=lambda shape: shape.name,
)


def shaped(shape: Shape) -> Graph:
    return apply_shape(inference_unet(), shape, training_unet())


@SHAPES
def test_channels_are_pruned_as_they_are_masked(shape: Shape) -> None:
    graph = shaped(shape)
    plan = thinned(graph)
    pruned = assert_pruned_as_masked(graph, plan)
    counts = {group.name: len(plan.kept.get(group.name, range(group.size))) for group in find_groups(graph)}
    assert ShapeOnlyGraph(graph).sized(counts).shapes == pruned.shapes


def test_the_groups_of_a_shaped_network() -> None:
    """The stem is one, the branches of a sum are one, and the head is kept whole for its pixels."""
    groups = {group.name: group for group in find_groups(shaped(Shape(2, 1, "full", "add")))}
    assert (groups["stem_conv"].size, groups["stem_conv"].frozen) == (WIDTH, "")
    makers = {member.node for member in groups["dec2_from_enc5_conv"].members if member.weight == "kernel"}
    sources = ("enc5", "dec4", "dec3", "enc2")
    assert makers == {"dec2_fuse_conv", *(f"dec2_from_{source}_conv" for source in sources)}
    assert "softmax" in groups["head_of_dec2_fuse_relu"].frozen
    assert groups["head_of_dec2_fuse_relu"].size == CLASSES, "the same class of all pixels of a block is one element"


@SHAPES
def test_rewrites_fire_and_refuse_and_keep_the_numbers(shape: Shape) -> None:
    """Float32 kernels of other forms are rounded anew: as for one convolution, in some twenty in a row."""
    graph = fold_batch_norm(shaped(shape))
    selections, refusals = [], {}
    for site in find_sites(graph):
        tried = {rule.name: rule.match(graph, site) for rule in RULES}
        refusals[site] = {match.reason for match in tried.values() if isinstance(match, Refusal)}
        fits = [name for name, match in tried.items() if isinstance(match, Match)]
        selections.append(Selection(site, fits[-1] if fits else REFERENCE, ()))
    assert "it has strides" in refusals["stem_conv"]
    upsampled = [s for s in selections if s.chosen != REFERENCE and graph[graph[s.site].inputs[0]].op == "upsample"]
    assert upsampled, "branches from deeper levels are rewritten as before"
    made = apply_fusions(apply_selections(graph, selections))
    assert deviation(graph, made, np.float64) < 1e-5


def test_tiles_go_through_depth_to_space_and_stop_at_the_stem() -> None:
    graph = fold_batch_norm(shaped(Shape(fold=2, topology="plain")))
    tiled = tile_node(graph, "mask", 2)
    assert isinstance(tiled, TiledGraph)
    assert sum(node.op == "depth_to_space" for node in tiled.graph.nodes) == 2
    assert sum(node.attrs.get("strides") == (2, 2) and node.op == "conv" for node in tiled.graph.nodes) == 1
    assert deviation(graph, tiled.graph, np.float64) == 0


def test_the_maps_of_added_decoders_are_known_to_distillation() -> None:
    expected = {(SIDE // 2, SIDE // 2): "dec2_fuse_relu", (8, 8): "dec3_fuse_relu", (4, 4): "dec4_fuse_relu"}
    assert decoder_maps(shaped(Shape(fold=2, fusion="add"))) == expected


INT8 = Shape(2, 1, "plain", "add")
"""The shape of the network that is quantized."""


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return blobs(3, SIDE)[0]


@pytest.fixture(scope="module")
def quantized(images: np.ndarray) -> FakeQuantized:
    return fake_quantize(shaped(INT8), images)


def test_fake_quantization_trains_a_shaped_network(quantized: FakeQuantized, images: np.ndarray) -> None:
    """Every sum has a range of its own, depth-to-space has that of the head, and one step changes the stem."""
    import tensorflow as tf

    fake = quantized.model
    ranged = {weight.name.split("/")[0] for weight in fake.weights if weight.name.endswith("_max:0")}
    assert any("sum" in name for name in ranged)
    assert not any("pixels" in name for name in ranged)
    stem = next(v for v in fake.trainable_variables if "stem_conv" in v.name and len(v.shape) == 4)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(fake(images, training=True)[..., 0])
    assert np.abs(tape.gradient(loss, stem).numpy()).max() > 0


def test_a_shaped_network_becomes_verified_files_of_the_same_integers(
    quantized: FakeQuantized, images: np.ndarray, tmp_path: Path
) -> None:
    metadata = default_metadata(Preprocessing(SIDE, SIDE, 1), CLASSES)
    network = read_integers(quantized)
    files = {f"model.int8.{suffix}": tmp_path / f"model.int8.{suffix}" for suffix in ("tflite", "onnx")}
    files["model.int8.tflite"].write_bytes(write_tflite(network, metadata))
    files["model.int8.onnx"].write_bytes(write_onnx(network, metadata))
    session = keras_session(to_keras(shaped(INT8)), metadata)
    verify_files(files, session, images, min_sqnr=15.0, float_io=False, progress=silent)
    lite = parse_tflite(files["model.int8.tflite"].read_bytes())
    codes = {op.code for op in lite.operators}
    assert codes == {"CONV_2D", "MAX_POOL_2D", "RESIZE_BILINEAR", "ADD", "DEPTH_TO_SPACE", "SOFTMAX"}
    convolutions = [op for op in lite.operators if op.code == "CONV_2D"]
    stored = {t.name: numpy_helper.to_array(t) for t in onnx.load(files["model.int8.onnx"]).graph.initializer}
    kernels = {v.tobytes() for name, v in stored.items() if name.endswith("_q") and v.ndim == 4}
    biases = {v.tobytes() for name, v in stored.items() if name.endswith("_q") and v.ndim == 1}
    for op in convolutions:
        kernel, bias = (np.asarray(lite.tensors[t].data) for t in op.inputs[1:])
        assert np.transpose(kernel, (0, 3, 1, 2)).tobytes() in kernels
        assert bias.tobytes() in biases
    assert len(kernels) == len({np.asarray(lite.tensors[op.inputs[1]].data).tobytes() for op in convolutions})
