"""Sizes follow from the config alone, equal those that Keras builds, and are bounded before it builds anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tf_keras
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.keras_files import configure, entry, save, small
from u3p_edge.errors import ModelError
from u3p_edge.graph.keras_layers import LAYERS
from u3p_edge.models.keras_calls import read_calls
from u3p_edge.models.keras_file import read_keras_file
from u3p_edge.models.keras_sizes import count_parameters

L = tf_keras.layers

WEIGHTED: dict[str, Callable[[], Any]] = {
    "Conv2D": lambda: L.Conv2D(6, (3, 1), strides=2, padding="same"),
    "Conv2D-groups": lambda: L.Conv2D(6, 3, groups=2, dilation_rate=2, use_bias=False),
    "Conv2DTranspose": lambda: L.Conv2DTranspose(5, 3, strides=2, padding="same"),
    "DepthwiseConv2D": lambda: L.DepthwiseConv2D(3, depth_multiplier=2),
    "SeparableConv2D": lambda: L.SeparableConv2D(5, (3, 1), strides=2, depth_multiplier=2, padding="same"),
    "SeparableConv2D-no bias": lambda: L.SeparableConv2D(5, 3, dilation_rate=2, use_bias=False),
    "Dense": lambda: L.Dense(5),
    "BatchNormalization": lambda: L.BatchNormalization(scale=False),
    "LayerNormalization": lambda: L.LayerNormalization(axis=(1, 2, 3), center=False),
    "GroupNormalization": lambda: L.GroupNormalization(2),
    "GroupNormalization-no scale": lambda: L.GroupNormalization(-1, scale=False),
    "Normalization": lambda: L.Normalization(),
    "Normalization-one": lambda: L.Normalization(axis=None),
    "Normalization-two axes": lambda: L.Normalization(axis=(1, -1)),
    "Normalization-in the config": lambda: L.Normalization(mean=[0.1, 0.2, 0.3, 0.4], variance=2.0),
    "PReLU": lambda: L.PReLU(),
    "PReLU-shared": lambda: L.PReLU(shared_axes=[1, 2]),
}


def count(model: tf_keras.Model) -> int:
    kind = "Sequential" if isinstance(model, tf_keras.Sequential) else "Functional"
    config = json.loads(json.dumps({"class_name": kind, "config": model.get_config()}))
    return count_parameters(read_calls(config, "m"), "m")


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_layers_weights_are_those_that_keras_builds(name: str) -> None:
    inputs = tf_keras.Input((8, 12, 4))
    model = tf_keras.Model(inputs, L.Flatten()(L.Dense(3)(WEIGHTED[name]()(inputs))))
    assert count(model) == model.count_params()


def test_every_layer_class_with_weights_is_covered() -> None:
    assert {name.split("-")[0] for name in WEIGHTED} == {name for name, layer in LAYERS.items() if layer.weights}


def test_shared_layers_count_once_and_sequential_models_are_chains() -> None:
    inputs, shared = tf_keras.Input((8, 8, 3)), L.Conv2D(3, 3, padding="same")
    model = tf_keras.Model(inputs, shared(shared(inputs)))
    assert count(model) == model.count_params()
    chain = tf_keras.Sequential([L.Conv2D(2, 3, input_shape=(None, None, 3)), L.MaxPooling2D(), L.Conv2D(5, 1)])
    assert count(chain) == chain.count_params()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 4), st.sampled_from(["same", "valid"]), st.integers(1, 2))
def test_widths_and_windows_of_any_size(filters: int, kernel: int, padding: str, stride: int) -> None:
    inputs = tf_keras.Input((16, 16, 2))
    x = L.Conv2D(filters, kernel, stride, padding)(inputs)
    x = L.Conv2DTranspose(filters, kernel, stride, padding)(x)
    model = tf_keras.Model(inputs, L.Dense(1)(L.Flatten()(L.Concatenate()([x, L.ReLU()(x)]))))
    assert count(model) == model.count_params()


def one_config(**change: Any) -> Callable[[Any], None]:
    return lambda config: entry(config, "first")["config"].update(change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filters": 10**8}, "up to layer 'first' the model has 1000 million weights"),
        ({"filters": 5 * 10**6}, "the output of layer 'first' has 1280 million values"),
        ({"kernel_size": [20_000, 20_000]}, "up to layer 'first' the model has 1200 million weights"),
        ({"filters": -1}, "layer 'first' of class Conv2D does not fit what it reads"),
        ({"filters": 2.5}, "layer 'first' of class Conv2D does not fit what it reads"),
        ({"filters": "many"}, "layer 'first' of class Conv2D does not fit what it reads"),
        ({"strides": [0, 0]}, "layer 'first' of class Conv2D does not fit what it reads"),
        ({"groups": 0}, "layer 'first' of class Conv2D does not fit what it reads"),
        ({"data_format": "channels_first"}, "layer 'first' of class Conv2D cannot be exported: its data format"),
    ],
    ids=str,
)
@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_what_would_be_too_large_or_cannot_be_is_refused(
    tmp_path: Path, suffix: str, change: dict[str, Any], message: str
) -> None:
    path = configure(save(small(), tmp_path / f"m{suffix}"), one_config(**change))
    with pytest.raises(ModelError, match=message):
        read_keras_file(path)


@pytest.mark.parametrize(
    ("layer", "change", "message"),
    [
        ("SeparableConv2D", {"filters": 10**9}, "up to layer 'odd' the model has 4000 million weights"),
        ("SeparableConv2D", {"depth_multiplier": 10**8}, "up to layer 'odd' the model has 3600 million weights"),
        ("SeparableConv2D", {"depth_multiplier": 0}, "layer 'odd' of class SeparableConv2D does not fit"),
        ("GroupNormalization", {"groups": 0}, "layer 'odd' of class GroupNormalization does not fit"),
        ("GroupNormalization", {"groups": 2}, "layer 'odd' of class GroupNormalization does not fit"),
        ("GroupNormalization", {"axis": 7}, "layer 'odd' of class GroupNormalization does not fit"),
        ("GroupNormalization", {"groups": -3}, "layer 'odd' of class GroupNormalization does not fit"),
        ("GroupNormalization", {"groups": 1.5}, "layer 'odd' of class GroupNormalization does not fit"),
        ("Normalization", {"axis": 7}, "layer 'odd' of class Normalization does not fit"),
        ("Normalization", {"axis": 1.5}, "layer 'odd' of class Normalization does not fit"),
        ("Normalization", {"mean": [1.0, 2.0], "variance": [1.0, 2.0]}, "m.keras is damaged"),
        ("Normalization", {"mean": "many", "variance": 1.0}, "m.keras is damaged"),
        ("Normalization", {"mean": 0.0, "variance": None}, "m.keras is damaged"),
    ],
    ids=str,
)
def test_damaged_sizes_of_other_layers_are_refused(tmp_path: Path, layer: str, change: dict[str, Any], message: str) -> None:
    sound = {
        "SeparableConv2D": lambda: L.SeparableConv2D(3, 3, name="odd"),
        "GroupNormalization": lambda: L.GroupNormalization(3, name="odd"),
        "Normalization": lambda: L.Normalization(name="odd"),
    }
    path = save(small(sound[layer]()), tmp_path / "m.keras")
    configure(path, lambda config: entry(config, "odd")["config"].update(change))
    with pytest.raises(ModelError, match=message):
        read_keras_file(path)


def test_an_image_of_any_declared_size_is_bounded(tmp_path: Path) -> None:
    def change(config: Any) -> None:
        entry(config, "pixels")["config"]["batch_input_shape"] = [None, 2**20, 2**20, 1]

    path = configure(save(small(), tmp_path / "m.keras"), change)
    with pytest.raises(ModelError, match=r"the output of layer 'pixels' has 1099512 million values"):
        read_keras_file(path)


def test_a_model_with_more_weights_than_its_file_has_numbers_is_refused(tmp_path: Path) -> None:
    path = configure(save(small(), tmp_path / "m.keras"), one_config(filters=30_000))
    with pytest.raises(ModelError, match="describes a model of 450001 weights and holds 46 numbers"):
        read_keras_file(path)
