"""Read tf_keras `.keras` and `.h5` files, also of unknown origin, without running code that is in them."""

from __future__ import annotations

import errno
import io
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import h5py
import tf_keras

from u3p_edge.errors import ModelError, U3pEdgeError
from u3p_edge.models.hdf5_file import check_hdf5
from u3p_edge.models.keras_calls import read_calls
from u3p_edge.models.keras_config import check_config, rename_layers
from u3p_edge.models.keras_names import layer_aliases
from u3p_edge.models.keras_sizes import count_parameters

MIB = 2**20
MAX_CONFIG = 64 * MIB
"""Most bytes of the JSON of a model; the largest real ones have a few MiB."""

MAX_FILE = 8 * 1024 * MIB
"""Most bytes of the weights of a trusted `.keras` file."""

WEIGHTS = "model.weights.h5"
_RESAVE = "Save the model again with model.save(...) of tf_keras."
T = TypeVar("T")


def read_keras_file(path: Path, *, trust: bool = False) -> tf_keras.Model:
    """Read the functional model in a `.keras` or `.h5` file saved by tf_keras (or Keras 2), not compiled.

    The kind of file is recognised by its content. Its training configuration (losses, metrics, optimiser) is never built.

    Args:
        path: the file.
        trust: run any code that the file holds (Lambda layers, custom classes that can be imported).

    Raises:
        ModelError: the file is missing, empty, truncated, not a Keras file, a SavedModel folder, a file of Keras 3, or has
            code that `trust` does not allow.
    """
    if path.is_dir():
        kind = "a SavedModel folder" if (path / "saved_model.pb").exists() else "a folder"
        raise ModelError(f"{path} is {kind}, not a Keras file", mend="Save the model as one .keras file.")
    return _with_errors(path, lambda: _read(path, trust))


def _read(path: Path, trust: bool) -> tf_keras.Model:
    config, version = _describe(path)
    _check_version(path, version, config)
    if trust:
        _weights(path, None)
        return tf_keras.models.load_model(path, compile=False, safe_mode=False)
    config = rename_layers(config, layer_aliases())
    check_config(config, str(path))
    name, weights = _weights(path, count_parameters(read_calls(config, str(path)), str(path)))
    model = (tf_keras.Sequential if config["class_name"] == "Sequential" else tf_keras.Model).from_config(config["config"])
    with tempfile.TemporaryDirectory() as folder:  # Keras reads weights only from a path, and by its suffix
        copy = Path(folder) / name
        copy.write_bytes(weights)
        model.load_weights(copy)
    return model


def _with_errors(path: Path, action: Callable[[], T]) -> T:
    # zipfile, h5py and Keras raise nearly any exception on a damaged file; to the user it is one thing.
    try:
        return action()
    except U3pEdgeError:
        raise
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist", mend="Check the path of the model.") from error
    except PermissionError as error:
        raise ModelError(f"{path} may not be read", mend="Check its permissions.") from error
    except Exception as error:  # h5py, zipfile, JSON and Keras let nearly any exception out of a damaged file
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            mend = "Free space there, or name another folder in TMPDIR."
            raise ModelError(f"{path} cannot be read: {tempfile.gettempdir()} is full", mend=mend) from error
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise ModelError(f"{path} is damaged or is not a Keras model: {reason}", mend=_RESAVE) from error


def _describe(path: Path) -> tuple[Any, object]:
    """Return the parsed config of the model, and the version of Keras that wrote it (None where it is not recorded)."""
    if path.stat().st_size == 0:
        raise ModelError(f"{path} is empty", mend=_RESAVE)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            config = json.loads(_member(archive, "config.json", path, MAX_CONFIG))
            return config, json.loads(_member(archive, "metadata.json", path, MAX_CONFIG)).get("keras_version")
    if h5py.is_hdf5(path):
        with h5py.File(path, "r") as file:
            text, version = file.attrs.get("model_config"), file.attrs.get("keras_version")
        if text is None:
            mend = "Save the whole model with model.save, not model.save_weights."
            raise ModelError(f"{path} holds weights but no model", mend=mend)
        return json.loads(text), version.decode() if isinstance(version, bytes) else version
    with path.open("rb") as start:
        truncated = start.read(4) in (b"PK\x03\x04", b"\x89HDF")
    what = "is truncated" if truncated else "is not a Keras file (.keras or .h5)"
    raise ModelError(f"{path} {what}", mend="Copy it again from its source." if truncated else _RESAVE)


def _weights(path: Path, parameters: int | None) -> tuple[str, bytes]:
    """Return the HDF5 file of the weights, checked, and the name by which Keras recognises its kind.

    From a `.keras` archive only known members are read: nothing is unpacked to a path that the file chooses.

    Args:
        path: the model.
        parameters: that its config describes; None for a trusted file, whose code may make others.
    """
    if zipfile.is_zipfile(path):
        # A model saved with its optimiser holds every weight up to four times; more than that is not weights.
        most = MAX_FILE if parameters is None else 16 * MIB + 16 * 4 * parameters
        with zipfile.ZipFile(path) as archive:
            name, weights = WEIGHTS, _member(archive, WEIGHTS, path, most)
    else:
        name, weights = "model.h5", path.read_bytes()
    with h5py.File(io.BytesIO(weights), "r") as file:
        numbers = check_hdf5(file, str(path), len(weights))
    if parameters is not None and numbers < parameters:
        raise ModelError(
            f"{path} describes a model of {parameters} weights and holds {numbers} numbers, so weights are missing",
            mend=_RESAVE,
        )
    return name, weights


def _member(archive: zipfile.ZipFile, name: str, path: Path, most: int) -> bytes:
    """Return a member's bytes, or refuse it if it claims more than `most`; zipfile never unpacks more than is claimed."""
    if name not in archive.namelist():
        raise ModelError(f"{path} is a zip archive without {name}, so not a Keras file", mend=_RESAVE)
    size = archive.getinfo(name).file_size
    if size > most:
        raise ModelError(f"{path}: {name} would unpack to {size // MIB} MiB, more than its model can have", mend=_RESAVE)
    return archive.read(name)


def _check_version(path: Path, version: object, config: Any) -> None:
    """Refuse a file of Keras 3, also one that does not record its version: its input layers have a `batch_shape`."""
    if version is not None and str(version).split(".")[0] not in ("1", "2"):
        raise _keras_3(path, f"Keras {version}")
    inner = config.get("config") if isinstance(config, Mapping) else None
    layers = inner.get("layers") if isinstance(inner, Mapping) else None
    for layer in layers if isinstance(layers, list) else ():
        if isinstance(layer, Mapping) and isinstance(layer.get("config"), Mapping) and "batch_shape" in layer["config"]:
            raise _keras_3(path, "Keras 3")


def _keras_3(path: Path, version: str) -> ModelError:
    return ModelError(
        f"{path} was saved by {version}; reading files of Keras 3 is not supported yet",
        mend="Convert it: build the same layers in the same order with tf_keras (with TF_USE_LEGACY_KERAS=1 set before "
        "TensorFlow is imported, tf.keras is tf_keras), copy the weights with new.set_weights(old.get_weights()), where old is "
        "keras.saving.load_model of this file, and save it with new.save('model.h5').",
    )
