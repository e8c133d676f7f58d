"""A recipe that names the shape that pruning starts from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.support.pruning_runs import recipe, to
from u3p_edge.errors import ConfigError
from u3p_edge.graph.inference import inference_graph
from u3p_edge.graph.keras_io import from_keras, to_keras
from u3p_edge.models.config import preset
from u3p_edge.models.unet3plus import build
from u3p_edge.pipeline.context import Context
from u3p_edge.pipeline.data import ExportData
from u3p_edge.pipeline.prune_step import start_work, with_model
from u3p_edge.pipeline.search import StartNetwork, find_start
from u3p_edge.pipeline.source import Source
from u3p_edge.pipeline.staging import open_staging
from u3p_edge.recipes.build import build_recipe
from u3p_edge.recipes.recipe import Pruning
from u3p_edge.shapes.apply import apply_shape
from u3p_edge.shapes.shape import Shape

FOLDED = Shape(fold=2)


@pytest.fixture(scope="module")
def unet3plus(source: Source) -> Source:
    """A fresh network of the same input and classes."""
    _, *size = source.graph[source.graph.inputs[0]].attrs["shape"]
    graph = from_keras(build(preset("paper", input_shape=tuple(size), base_width=2, classes=source.metadata.channels_out)))
    inference = with_model(source, to_keras(inference_graph(graph).graph))
    return dataclasses.replace(inference, training_graph=graph)


def start(source: Source, data: ExportData, folder: Path, shape: str) -> StartNetwork:
    pruning = to(1.0, shape=shape)
    return find_start(start_work(Context(source, data, recipe(pruning), open_staging(folder, "key")), pruning), list)


def test_the_network_is_in_the_named_shape_with_the_weights_that_a_shape_inherits(
    unet3plus: Source, data: ExportData, tmp_path: Path
) -> None:
    found = start(unet3plus, data, tmp_path, FOLDED.name)
    assert (found.shape, found.search, found.notes) == (FOLDED, None, ("Shape: folded by 2.",))
    expected = apply_shape(unet3plus.graph, FOLDED, unet3plus.training_graph)
    graph = found.network.source.graph
    assert [node.op for node in graph.nodes] == [node.op for node in expected.nodes]
    for node in expected.nodes:
        for key, array in node.weights.items():
            np.testing.assert_array_equal(graph[node.name].weights[key], array)
    assert found.network.source.parameters != unet3plus.parameters


def test_a_network_that_cannot_take_it_keeps_its_own_and_says_why(source: Source, data: ExportData, tmp_path: Path) -> None:
    found = start(source, data, tmp_path, FOLDED.name)
    assert (found.shape, found.network.source) == (Shape(), source)
    assert found.notes[0].startswith("The network stays in its own shape: ")


def test_a_name_that_no_shape_has_is_refused(source: Source, data: ExportData, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no shape 'plain topologie'") as error:
        start(source, data, tmp_path, "plain topologie")
    assert error.value.mend == "Do you mean 'plain topology'?"


def test_a_search_takes_the_place_of_a_recipes_shape() -> None:
    named = build_recipe("exact", speedup=5, shape=FOLDED.name)
    assert named.pruning is not None
    assert named.pruning.shape == FOLDED.name
    searching = build_recipe(named, search=True).pruning
    assert searching is not None
    assert (searching.shape, searching.search) == ("", True)
    with pytest.raises(ConfigError, match="a shape and a search for one exclude each other"):
        Pruning(speedup=5, shape=FOLDED.name, search=True)
