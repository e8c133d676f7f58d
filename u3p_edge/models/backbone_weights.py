"""Put the weights of a file into a UNet 3+'s backbone. Nothing that is in the file is run, and nothing is fetched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import tf_keras

from u3p_edge.errors import ModelError
from u3p_edge.models.backbone import PREFIX, is_backbone
from u3p_edge.models.backbone_kinds import BACKBONES, BackboneKind
from u3p_edge.models.hdf5_file import check_hdf5
from u3p_edge.models.keras_file import read_keras_file, with_errors

Arrays = list[npt.NDArray[np.float32]]


def fill_backbone(model: tf_keras.Model, name: str, path: Path) -> None:
    """Set the weights of a backbone.

    Args:
        model: of `u3p_edge.models.unet3plus.build`, with that backbone.
        name: of the backbone.
        path: a `.h5` file of weights, as tf_keras.applications has them and `model.save_weights` writes them, with or without
            the network's top, or a whole model in a `.h5` or `.keras` file.

    Raises:
        ModelError: the file is missing, damaged or of another network; the message names the first layer.
    """
    kind, stored = BACKBONES[name], read_layers(path)
    for layer in model.layers:
        if not is_backbone(layer.name) or not layer.weights:
            continue
        plain = layer.name.removeprefix(PREFIX)
        if plain not in stored:
            raise ModelError(f"{path} holds no weights of the layer {plain!r} of {kind.model}", mend=_mend(kind))
        arrays = _fitted(stored[plain], plain == kind.first, kind, layer)
        shapes = [tuple(array.shape) for array in arrays], [tuple(variable.shape) for variable in layer.weights]
        if shapes[0] != shapes[1]:
            what = f"the layer {plain!r} has weights of the shapes {shapes[0]} in place of {shapes[1]}"
            raise ModelError(f"{path}: {what}", mend=_mend(kind))
        if not all(np.isfinite(array).all() for array in arrays):
            raise ModelError(f"{path}: the layer {plain!r} has weights that are not finite")
        layer.set_weights(arrays)


def read_layers(path: Path) -> Mapping[str, Arrays]:
    """Return the weights of every layer of a file, by the layer's name, in Keras' order.

    Raises:
        ModelError: the file is missing, damaged, or holds no layers.
    """
    return with_errors(path, lambda: _read(path))


def _read(path: Path) -> Mapping[str, Arrays]:
    if not h5py.is_hdf5(path):
        return dict(_layers_of(read_keras_file(path)))
    with h5py.File(path, "r") as file:
        check_hdf5(file, str(path), path.stat().st_size)
        group = file.get("model_weights", file)
        if "layer_names" not in group.attrs:
            mend = "Write it by model.save_weights('NAME.h5') of tf_keras, or give the whole model as a .keras file."
            raise ModelError(f"{path} holds no weights by layer", mend=mend)
        return dict(_groups(group))


def _layers_of(model: Any) -> Iterator[tuple[str, Arrays]]:
    """Yield the layers of a model and of the models inside it."""
    for layer in model.layers:
        if isinstance(layer, tf_keras.Model):
            yield from _layers_of(layer)
        elif layer.weights:
            yield layer.name, layer.get_weights()


def _groups(file: h5py.Group) -> Iterator[tuple[str, Arrays]]:
    """Yield the layers of a file; the weights of a model inside the model are named after their layers."""
    for name in map(_text, file.attrs["layer_names"]):
        weights = [_text(weight) for weight in file[name].attrs["weight_names"]]
        owners = [weight.split("/")[-2] if "/" in weight else name for weight in weights]
        owners = owners if len(set(owners)) > 1 else [name] * len(owners)
        for owner in dict.fromkeys(owners):
            named = (weight for weight, other in zip(weights, owners, strict=True) if other == owner)
            yield owner, [np.asarray(file[name][weight], np.float32) for weight in named]


def _fitted(arrays: Arrays, first: bool, kind: BackboneKind, layer: Any) -> Arrays:
    """Return a layer's weights; the first convolution takes red first, and one channel where its own has one."""
    if not first or not arrays or arrays[0].ndim != 4:
        return arrays
    kernel = arrays[0][:, :, ::-1] if kind.blue_first else arrays[0]
    if layer.weights[0].shape[2] == 1:
        kernel = kernel.sum(axis=2, keepdims=True)
    return [kernel, *arrays[1:]]


def _mend(kind: BackboneKind) -> str:
    return f"Give the weights of tf_keras.applications.{kind.model}, with or without its top."


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
