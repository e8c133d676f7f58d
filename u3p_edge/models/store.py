"""A trained model as two files that hold data and nothing that could run (see `u3p_edge.models.stored_files`)."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from u3p_edge.config.metadata import Metadata
from u3p_edge.config.plain import from_dict
from u3p_edge.errors import ArtifactError, ConfigError, ModelError
from u3p_edge.files.atomic import read_json
from u3p_edge.models.config import SCALES, UNet3PlusConfig
from u3p_edge.models.stored_files import DESCRIPTION, WEIGHTS, replace_files
from u3p_edge.models.unet3plus import build

Weights = Mapping[str, npt.NDArray[np.floating[Any]]]

_MEND = "Copy the folder again from where it was made, or train the model anew with u3p-edge train."


@dataclass(frozen=True)
class _Description:
    """What model.json says about one model.safetensors."""

    config: UNet3PlusConfig
    metadata: Metadata
    sha256: str


def save_model(folder: Path, model: tf_keras.Model, config: UNet3PlusConfig, metadata: Metadata, *, half: bool = False) -> None:
    """Write the model's weights and its description into `folder`, replacing those that are there.

    Args:
        folder: created if need be; other files in it are left alone.
        model: built by `u3p_edge.models.unet3plus.build(config)`.
        half: store convolution kernels as float16, for half the size and a relative error up to 2^-11; a kernel with a
            value beyond float16's range stays float32.

    Raises:
        ConfigError: the metadata has another input size or number of classes than the configuration.
        ArtifactError: the folder cannot be written.
    """
    _check_agreement(config, metadata)
    arrays = {_name(variable): _stored(variable.numpy(), half) for variable in model.weights}
    description = {"config": dataclasses.asdict(config), "metadata": _plain(metadata)}
    replace_files(folder, safetensors.save(arrays), description)


def load_model(folder: Path) -> tuple[tf_keras.Model, UNet3PlusConfig, Metadata]:
    """Load the model that `save_model` wrote: float32, whatever its kernels were stored as.

    Raises:
        ModelError: a file is missing, unreadable, truncated, of another kind, or not the one that model.json describes; or the
            network that model.json describes has more weights than the file.
    """
    path = folder / WEIGHTS
    candidates = _descriptions(folder)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", mend=_MEND) from error
    digest = hashlib.sha256(data).hexdigest()
    description = next((d for d in candidates if d.sha256 == digest), None)
    if description is None:
        raise ModelError(f"{path} is not the file that {DESCRIPTION} describes: it was changed or cut short", mend=_MEND)
    tensors = _read_tensors(path, data)
    _check_size(description.config, tensors, path)
    model = build(description.config)
    fill_model(model, tensors, path)
    return model, description.config, description.metadata


def fill_model(model: tf_keras.Model, tensors: Weights, path: Path) -> None:
    """Put weights into a model that was just built.

    Args:
        model: of `u3p_edge.models.unet3plus.build`.
        tensors: by the names of its variables, e.g. "enc1_conv1/kernel"; float32 or float16.
        path: where they come from, for the message.

    Raises:
        ModelError: one is missing, foreign, or of another shape or type.
    """
    shapes = {_name(variable): tuple(variable.shape) for variable in model.weights}
    odd = sorted(set(shapes) ^ set(tensors))
    if odd:
        kind = "lacks" if odd[0] in shapes else "has a foreign"
        raise ModelError(f"{path} {kind} weight {odd[0]!r}", mend=_MEND)
    for name, shape in shapes.items():
        array = tensors[name]
        if array.shape != shape or array.dtype not in (np.float32, np.float16):
            raise ModelError(f"{path}: weight {name!r} is {array.dtype} {array.shape}, not float {shape}", mend=_MEND)
    model.set_weights([tensors[name].astype(np.float32) for name in shapes])


def _check_agreement(config: UNet3PlusConfig, metadata: Metadata) -> None:
    size = metadata.preprocessing
    if (size.height, size.width, size.channels) != config.input_shape:
        raise ConfigError(
            f"the metadata prepares images of {size.height}x{size.width}x{size.channels}, "
            f"the model takes {'x'.join(map(str, config.input_shape))}"
        )
    if (metadata.channels_out, metadata.multi_label) != (config.classes, config.multi_label):
        raise ConfigError(
            f"the metadata has {metadata.labels} labels, a mask of {metadata.channels_out} channels; "
            f"the model's mask has {config.classes}",
            mend="A model of two labels has one channel (sigmoid), one of more labels a channel for each label, or, where they "
            "may overlap (`multi_label`), for each but the background.",
        )


def _descriptions(folder: Path) -> tuple[_Description, ...]:
    path = folder / DESCRIPTION
    try:
        stored = dict(read_json(path))
        previous = stored.pop("previous", None)
        return tuple(from_dict(_Description, d) for d in (stored, previous) if d is not None)
    except (ArtifactError, ConfigError) as error:
        raise ModelError(f"{path} does not describe a model: {error}", mend=_MEND) from error


def _read_tensors(path: Path, data: bytes) -> Weights:
    try:
        tensors: Weights = safetensors.load(data)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is not a safetensors file ({error})", mend=_MEND) from error
    return tensors


def _check_size(config: UNet3PlusConfig, tensors: Weights, path: Path) -> None:
    """Refuse a network with a kernel of more weights than the file has in all, before Keras allocates it."""
    window, deepest = config.kernel_size**2, config.encoder_width(SCALES)
    kernels = {
        "encoder": 0 if config.backbone else window * deepest * config.encoder_width(SCALES - 1),
        "first convolution": window * config.base_width * config.input_shape[2],
        "mask": config.base_width * config.classes,
    }
    stored = sum(array.size for array in tensors.values())
    for name, count in kernels.items():
        if count > stored:
            raise ModelError(
                f"{path} holds {stored} weights, and {DESCRIPTION} describes a network with a kernel of {count} ({name})",
                mend=_MEND,
            )


def _stored(array: npt.NDArray[np.float32], half: bool) -> npt.NDArray[np.floating[Any]]:
    kernel_rank = 4
    fits = np.abs(array).max(initial=0.0) <= np.finfo(np.float16).max
    return array.astype(np.float16) if half and array.ndim == kernel_rank and fits else array


def _name(variable: Any) -> str:
    """Return a variable's name without TensorFlow's output index: "enc1_conv1/kernel:0" is "enc1_conv1/kernel"."""
    return str(variable.name).rpartition(":")[0]


def _plain(metadata: Metadata) -> object:
    return json.loads(metadata.to_json())
