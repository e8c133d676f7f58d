"""The weights of a Keras 3 model, put into the tf_keras model of the same layers.

`model.weights.h5` has a group for every layer, named by its class and a number (`layers/conv2d_1/vars/0`). So layers are
counted as Keras 3 counts them, in the order of the config.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.models.keras3_config import is_operation
from u3p_edge.models.keras_calls import MODELS

_MEND = "Save the model again with model.save('model.keras')."


def fill_from_keras_3(model: Any, config: Mapping[str, Any], file: h5py.File, where: str) -> None:
    """Set every weight of a model.

    Args:
        model: tf_keras, of `to_keras_2(config)`.
        config: of the Keras 3 model, as its file has it.
        file: checked by `u3p_edge.models.hdf5_file.check_hdf5`.
        where: the file's name, for the message.

    Raises:
        ModelError: a weight is missing or has another shape; names the layer.
    """
    for layer, path in _pairs(model, config["config"]["layers"], "layers"):
        if not layer.weights:
            continue
        arrays = [_read(file, f"{path}/vars/{number}", layer, where) for number in range(len(layer.weights))]
        for array, variable in zip(arrays, layer.weights, strict=True):
            if array.shape != tuple(variable.shape):
                shapes = f"{list(array.shape)} in place of {list(variable.shape)}"
                raise ModelError(f"{where}: a weight of layer {layer.name!r} has the shape {shapes}", mend=_MEND)
        layer.set_weights(arrays)
        layer.finalize_state()  # Normalization computes with a copy


def _pairs(model: Any, entries: Sequence[Mapping[str, Any]], folder: str) -> Iterator[tuple[Any, str]]:
    """Yield every layer that is no model, with its group in the file."""
    counted: Counter[str] = Counter()
    for entry in entries:
        kind = entry["class_name"]
        if is_operation(entry):
            continue
        name = _snake_case(kind)
        number = counted[name]
        counted[name] += 1
        if kind == "InputLayer":
            continue
        path = f"{folder}/{name}_{number}" if number else f"{folder}/{name}"
        layer = model.get_layer(entry["config"]["name"])
        if kind in MODELS:
            yield from _pairs(layer, entry["config"]["layers"], f"{path}/layers")
        else:
            yield layer, path


def _read(file: h5py.File, path: str, layer: Any, where: str) -> np.ndarray[Any, Any]:
    if path not in file:
        raise ModelError(f"{where} holds no {path}, a weight of layer {layer.name!r}", mend=_MEND)
    return np.asarray(file[path], np.float32)


def _snake_case(name: str) -> str:
    """Return a class name as Keras writes it in a path: "Conv2DTranspose" is "conv2d_transpose"."""
    parts = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", parts).lower()
