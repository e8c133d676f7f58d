"""Read `.keras` and `.h5` files of tf_keras and of Keras 3, also of unknown origin, without running code that is in them."""

from __future__ import annotations

import errno
import io
import json
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import h5py
import tf_keras

from u3p_edge.errors import ModelError, U3pEdgeError
from u3p_edge.models.hdf5_file import check_hdf5
from u3p_edge.models.keras3_config import is_keras_3, to_keras_2
from u3p_edge.models.keras3_weights import fill_from_keras_3
from u3p_edge.models.keras_calls import read_calls
from u3p_edge.models.keras_config import LAYERS_ALONE, TRUST, check_config, rename_layers
from u3p_edge.models.keras_functions import replace_functions
from u3p_edge.models.keras_names import layer_aliases
from u3p_edge.models.keras_sizes import count_parameters

MIB = 2**20
MAX_CONFIG = 64 * MIB
"""Most bytes of the JSON of a model; the largest real ones have a few MiB."""

MAX_FILE = 8 * 1024 * MIB
"""Most bytes of the weights of a trusted `.keras` file."""

WEIGHTS = "model.weights.h5"
WEIGHTS_SUFFIX = ".weights.h5"
_RESAVE = "Save the model again with model.save(...) of tf_keras."
T = TypeVar("T")


def read_keras_file(path: Path, *, trust: bool = False) -> tf_keras.Model:
    """Read the functional model in a `.keras` or `.h5` file saved by tf_keras, Keras 2 or Keras 3, not compiled.

    The kind of file is recognised by its content. Its training configuration (losses, metrics, optimiser) is never built.

    Args:
        path: the file.
        trust: run any code that the file holds (Lambda layers, custom classes that can be imported); never that of Keras 3.

    Raises:
        ModelError: the file is missing, empty, truncated, not a Keras file, a SavedModel folder, or has code
            that `trust` does not allow.
    """
    if path.is_dir():
        kind = "a SavedModel folder" if (path / "saved_model.pb").exists() else "a folder"
        raise ModelError(f"{path} is {kind}, not a Keras file", mend="Save the model as one .keras file.")
    return with_errors(path, lambda: _read(path, trust))


def _read(path: Path, trust: bool) -> tf_keras.Model:
    original, version = _describe(path)
    third = is_keras_3(original, version)
    if trust and not third:
        _weights(path, None)
        return tf_keras.models.load_model(path, compile=False, safe_mode=False)
    plain = to_keras_2(original, str(path)) if third else replace_functions(original)
    config = rename_layers(plain, layer_aliases())
    check_config(config, str(path), LAYERS_ALONE if third else TRUST)
    name, weights = _weights(path, count_parameters(read_calls(config, str(path)), str(path)))
    model = (tf_keras.Sequential if config["class_name"] == "Sequential" else tf_keras.Model).from_config(config["config"])
    if third and name == WEIGHTS:  # its own format; its .h5 files are like those of tf_keras
        with h5py.File(io.BytesIO(weights), "r") as file:
            fill_from_keras_3(model, original, file, str(path))
        return model
    with tempfile.TemporaryDirectory() as folder:  # Keras reads weights only from a path, and by its suffix
        copy = Path(folder) / name
        copy.write_bytes(weights)
        model.load_weights(copy)
    return model


def with_errors(path: Path, action: Callable[[], T]) -> T:
    """Return what an action gives that reads a file; what it raises becomes an error of ours.

    Raises:
        ModelError: the file is missing, unreadable or damaged.
    """
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
            return _describe_weights(path)
        return json.loads(text), version.decode() if isinstance(version, bytes) else version
    with path.open("rb") as start:
        truncated = start.read(4) in (b"PK\x03\x04", b"\x89HDF")
    what = "is truncated" if truncated else "is not a Keras file (.keras or .h5)"
    raise ModelError(f"{path} {what}", mend="Copy it again from its source." if truncated else _RESAVE)


def _describe_weights(path: Path) -> tuple[Any, object]:
    """Return the config of a Keras 3 model beside its `NAME.weights.h5`, in `NAME.json`."""
    beside = path.with_name(path.name.removesuffix(WEIGHTS_SUFFIX) + ".json")
    if not path.name.endswith(WEIGHTS_SUFFIX) or not beside.is_file():
        mend = "Save the whole model with model.save, not model.save_weights; or put model.to_json() of Keras 3 beside it"
        raise ModelError(f"{path} holds weights but no model", mend=f"{mend}, as NAME.json for NAME{WEIGHTS_SUFFIX}.")
    if beside.stat().st_size > MAX_CONFIG:
        raise ModelError(f"{beside} has more than {MAX_CONFIG // MIB} MiB, so it is no model", mend=_RESAVE)
    config = json.loads(beside.read_text(encoding="utf-8"))
    if not is_keras_3(config, None):
        raise ModelError(f"{beside} is not a model of Keras 3", mend="Save the whole model with model.save.")
    return config, None


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
        name, weights = WEIGHTS if path.name.endswith(WEIGHTS_SUFFIX) else "model.h5", path.read_bytes()
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
