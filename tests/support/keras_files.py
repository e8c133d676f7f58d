"""Keras files for tests: saved as tf_keras saves them, then changed by hand as an attacker would."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tf_keras

L = tf_keras.layers


def small(layer: Any = None) -> tf_keras.Model:
    inputs = tf_keras.Input((16, 16, 1), name="pixels")
    x = L.Conv2D(3, 3, padding="same", kernel_regularizer="l2", name="first")(inputs)
    x = L.BatchNormalization(name="norm")(x)
    x = x if layer is None else layer(x)
    return tf_keras.Model(inputs, L.Conv2D(1, 1, activation="sigmoid", name="head")(x))


def save(model: tf_keras.Model, path: Path) -> Path:
    model.save(path)
    return path


def configure(path: Path, change: Callable[[Any], None]) -> Path:
    """The saved model with its config changed in place."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            change(config)
            file.attrs["model_config"] = json.dumps(config)
        return path
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    return pack(path, {**members, "config.json": json.dumps(config).encode()})


def pack(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def entry(config: Any, name: str) -> Any:
    return next(layer for layer in config["config"]["layers"] if layer["config"]["name"] == name)


SUFFIXES = pytest.mark.parametrize("suffix", [".keras", ".h5"])


def assert_same(found: tf_keras.Model, model: tf_keras.Model) -> None:
    assert [layer.name for layer in found.layers] == [layer.name for layer in model.layers]
    assert [w.shape for w in found.get_weights()] == [w.shape for w in model.get_weights()]
    for mine, theirs in zip(found.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
