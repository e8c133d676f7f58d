"""Layers under older or shorter names are the same layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tf_keras

from tests.support.keras_files import SUFFIXES, L, assert_same, configure, save
from u3p_edge.graph.keras_io import from_keras
from u3p_edge.models.keras_file import read_keras_file
from u3p_edge.models.keras_names import layer_aliases


def many_layers() -> tf_keras.Model:
    """A model of every layer that tf_keras knows under another name too."""
    inputs = tf_keras.Input((16, 16, 2), name="pixels")
    x = L.Conv2D(3, 3, padding="same", name="conv")(inputs)
    x = L.SeparableConv2D(3, 3, padding="same", name="separable")(x)
    x = L.BatchNormalization(name="norm")(x)
    x = L.Conv2DTranspose(2, 2, 2, name="up")(x)
    x = L.AveragePooling2D(name="mean")(L.MaxPooling2D(name="max")(x))
    pooled = L.Multiply(name="product")([L.GlobalMaxPooling2D(name="gmax")(x), L.GlobalAveragePooling2D(name="gmean")(x)])
    return tf_keras.Model(inputs, L.Dense(1, name="head")(pooled))


@SUFFIXES
@pytest.mark.parametrize("alias", sorted(layer_aliases()))
def test_a_layer_under_an_older_or_shorter_name_is_the_same_layer(tmp_path: Path, suffix: str, alias: str) -> None:
    model = many_layers()
    own = layer_aliases()[alias]

    def change(config: Any) -> None:
        named = [layer for layer in config["config"]["layers"] if layer["class_name"] == own]
        assert named
        for layer in named:
            layer["class_name"] = alias

    result = read_keras_file(configure(save(model, tmp_path / f"m{suffix}"), change))
    assert_same(result, model)
    assert from_keras(result) == from_keras(model)


def test_tf_keras_own_names_of_old_layers_are_known() -> None:
    aliases = layer_aliases()
    assert aliases["BatchNormalizationV1"] == aliases["BatchNormalizationV2"] == "BatchNormalization"
    assert aliases["Convolution2D"] == "Conv2D"
    assert not {"Lambda", "TFOpLambda", "function"} & {*aliases, *aliases.values()}


def test_a_model_saved_under_tensorflow_1_is_read(shared: Path) -> None:
    model = read_keras_file(shared / "cases" / "bug09" / "BatchNormalizationV1.h5")
    kinds = [node.op for node in from_keras(model).nodes]
    assert kinds.count("batch_norm") == kinds.count("relu")
