"""Which shapes a network can take, what they are called, and what holds in all of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.support.any_size_tables import known_table
from tests.support.latency_tables import two_scales
from tests.support.onnx_networks import save_unet3plus
from tests.support.shaped_unets import CLASSES, SIDE, inference_unet, training_unet, values_of
from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.graph.memory import plan_memory
from u3p_edge.importing.onnx.reader import read_onnx
from u3p_edge.latency.table.predict import Predictor
from u3p_edge.shapes.apply import apply_shape, list_shapes
from u3p_edge.shapes.shape import Fold, Fusion, Head, Shape, Topology

HEADS: Mapping[Fold, tuple[Head, ...]] = {1: (1, 2, 3), 2: (1, 2), 4: (1,)}
"""What folding leaves for the mask: a map of a quarter of the image's height and width at the least."""

TOPOLOGIES: tuple[Topology, ...] = ("full", "plain")
FUSIONS: tuple[Fusion, ...] = ("concat", "add")
EVERY = tuple(
    Shape(fold, head, topology, fusion)
    for fold, heads in HEADS.items()
    for head, topology, fusion in product(heads, TOPOLOGIES, FUSIONS)
)


@cache
def every_kind() -> Predictor:
    """A table of all kinds of layers that are measured."""
    return Predictor(known_table())


def test_a_unet3plus_takes_every_shape_as_it_is_trained_and_as_it_is_run() -> None:
    assert list_shapes(training_unet()) == EVERY
    assert list_shapes(inference_unet()) == EVERY
    assert list_shapes(fold_batch_norm(inference_unet())) == EVERY
    assert EVERY[0] == Shape()


def test_shapes_are_values_with_names_of_their_own() -> None:
    assert len({shape.name for shape in EVERY}) == len(EVERY)
    assert all(from_dict(Shape, json.loads(json.dumps(dataclasses.asdict(shape)))) == shape for shape in EVERY)
    assert Shape(4, 1, "plain", "add").name == "folded by 4, plain topology, added branches"
    with pytest.raises(ConfigError, match=r"fold cannot be 3. It is one of 1, 2, 4"):
        from_dict(Shape, {"fold": 3})


def test_no_shape_changes_nothing() -> None:
    assert apply_shape(training_unet(), Shape()) is training_unet()


@pytest.mark.parametrize("shape", EVERY[1:], ids=lambda shape: shape.name)
def test_every_shape_gives_a_network_of_the_same_ends(shape: Shape) -> None:
    """It can be folded, planned in memory, and priced by a table of every kind of layer that is measured."""
    graph = apply_shape(inference_unet(), shape, training_unet())
    assert (graph.inputs, graph.outputs) == (("image",), ("mask",))
    assert graph.shapes["mask"] == (1, SIDE, SIDE, CLASSES)
    assert apply_shape(training_unet(), shape).shapes["output_de1"] == (1, SIDE, SIDE, CLASSES)
    folded = fold_batch_norm(graph)
    assert "batch_norm" not in {node.op for node in folded.nodes}
    assert plan_memory(folded).peak > 0
    assert every_kind().missing(folded) == ()


@pytest.mark.parametrize("shape", [Shape(2, 2, "plain", "add"), Shape(4)], ids=lambda shape: shape.name)
def test_keras_computes_what_the_graph_says(shape: Shape) -> None:
    """And the graph comes back from Keras with the same values. Float32 sums of up to a few hundred terms in each of some
    twenty layers, of magnitude 1, round to a few units of 1e-5 at the logits; a probability changes by less."""
    graph = apply_shape(inference_unet(), shape, training_unet())
    model = to_keras(graph)
    image = np.random.default_rng(0).standard_normal((1, SIDE, SIDE, 1)).astype(np.float32)
    (expected,) = values_of(graph, image=image).values()
    np.testing.assert_allclose(model(image).numpy(), expected, atol=1e-4)
    np.testing.assert_array_equal(values_of(from_keras(model), image=image)["mask"], expected)


def test_levels_are_those_of_the_structure_whatever_the_names(tmp_path: Path) -> None:
    """A network of three levels from another framework, whose two decoders read nearest and bilinear branches."""
    training = read_onnx(save_unet3plus(tmp_path / "network.onnx"))
    graph = inference_graph(training).graph
    assert len(list_shapes(graph)) == 2 * 4 + 2, "the decoder that folding leaves is a plain one already"
    deeper = apply_shape(graph, Shape(head=2), training)
    np.testing.assert_array_equal(values_of(deeper)["mask"], values_of(training, "side")["side"])


def test_a_network_that_is_no_unet3plus_stays_as_it_is() -> None:
    graph = two_scales()
    assert list_shapes(graph) == (Shape(),)
    assert list_shapes(inference_unet()) == EVERY
    with pytest.raises(ModelError):
        apply_shape(graph, Shape(fold=2))
