"""A network that scales pixels first gives its numbers on raw images: the preprocessing in the metadata does the scaling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tf_keras
from tf_keras import layers as L

import u3p_edge as u3p
from u3p_edge.config.metadata import Metadata
from u3p_edge.data.preprocess import preprocess
from u3p_edge.graph.image_scale import find_image_scale
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.reference import run

SIZE = (16, 32)
RAW = np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), np.uint8)
NORMALIZATION = {"mean": [0.5, 0.4, 0.3], "variance": [0.04, 0.09, 0.16]}


def network(*front: Any) -> tf_keras.Model:
    tf_keras.utils.set_random_seed(2)
    image = tf_keras.Input((*SIZE, 3))
    x = image
    for layer in front:
        x = layer(x)
    x = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    return tf_keras.Model(image, L.Conv2D(1, 1, activation="sigmoid")(x))


def prepared(metadata: Metadata) -> np.ndarray[Any, Any]:
    return np.stack([preprocess(image, metadata.preprocessing) for image in RAW])


def norm() -> Any:
    """Any statistics that are not those of nothing."""
    layer = L.BatchNormalization()
    layer.build((None, *SIZE, 3))
    layer.set_weights([np.array(values, np.float32) for values in ([1, 2, 3], [0, 1, -1], [90, 100, 110], [900, 2500, 1600])])
    return layer


@pytest.mark.parametrize(
    ("front", "options"),
    [
        ([L.Rescaling(1 / 255)], {}),
        ([L.Rescaling(1 / 127.5, -1.0)], {}),
        ([L.Rescaling(1 / 255), L.Dropout(0.1), L.Normalization(**NORMALIZATION)], {}),
        ([norm()], {"normalization": "none"}),
        ([L.Rescaling(2.0, 1.0)], {"normalization": "meanstd", "mean": (100.0, 90.0, 80.0), "std": (50.0, 60.0, 70.0)}),
    ],
    ids=["rescaling", "to -1..1", "rescaling and normalization", "batch normalization", "behind a mean and a deviation"],
)
def test_raw_images_give_the_numbers_of_the_keras_model(tmp_path: Path, front: list[Any], options: dict[str, Any]) -> None:
    model, path = network(*front), tmp_path / "m.keras"
    model.save(path)
    source = u3p.load(path, u3p.ModelOptions(**options))
    assert [node.op for node in source.graph.nodes][:2] == ["input", "conv"]
    assert source.metadata.preprocessing.normalization == "meanstd"
    raw = RAW.astype(np.float32)
    if options.get("mean"):
        raw = (raw - np.float32(options["mean"])) / np.float32(options["std"])
    image = prepared(source.metadata)
    (found,) = run(source.graph, {"image": image}).values()
    # Scales and shifts round a few times, relative to pixels of up to 255 deviations; 27 and 4 products; a slope below 1/4.
    size = float(np.abs(image).max()) + 255 * float(1 / np.min(source.metadata.preprocessing.std))
    np.testing.assert_allclose(found, model.predict(raw, verbose=0), rtol=0, atol=(27 + 4 + 8) * size * 2**-24)
    assert "scales pixels first" in source.notes[0]


@pytest.mark.parametrize("normalization", ["percentile", "zscore", "range"])
def test_under_another_normalization_the_layer_stays(tmp_path: Path, normalization: str) -> None:
    path = tmp_path / "m.keras"
    network(L.Rescaling(0.5)).save(path)
    source = u3p.load(path, u3p.ModelOptions(normalization=normalization))  # type: ignore[arg-type]  # a word from the list
    assert [node.op for node in source.graph.nodes][:2] == ["input", "rescale"]
    assert source.metadata.preprocessing.normalization == normalization


def graph(*nodes: Node) -> Graph:
    image = Node("image", "input", (), {"shape": (None, 4, 4, 3)})
    return Graph((image, *nodes), ("image",), (nodes[-1].name,))


@pytest.mark.parametrize(
    "nodes",
    [
        (Node("a", "rescale", ("image",), {"scale": -1.0}), Node("b", "relu", ("a",))),
        (Node("a", "rescale", ("image",), {"scale": 2.0}), Node("b", "add", ("a", "image"))),
        (Node("a", "dropout", ("image",)), Node("b", "relu", ("a",))),
        (Node("a", "rescale", ("image",), {"scale": 2.0}),),
    ],
    ids=["turned over", "read beside it", "nothing", "an output"],
)
def test_what_is_no_scale_of_the_image_stays(nodes: tuple[Node, ...]) -> None:
    assert find_image_scale(graph(*nodes)) is None
