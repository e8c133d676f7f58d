"""Check what a Keras model file would make Keras do, from its JSON, before Keras sees it. No TensorFlow here.

Deserialising runs code in more ways than Lambda layers: a config names any module to import and any class or function to
call, and the safe mode of Keras does not cover `.h5` files. So nothing but known built-in names may occur anywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from u3p_edge.errors import ModelError
from u3p_edge.graph.keras_layers import LAYERS
from u3p_edge.models.keras_calls import MODELS

LAYERS_ALONE = "Build the model from layers of Keras."
TRUST = "Build the model from layers of Keras, or, if you trust whoever made the file, pass --trust."

_PARTS = frozenset(
    (
        "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Identity", "LecunNormal", "LecunUniform", "Ones",
        "Orthogonal", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros",
        "L1", "L2", "L1L2", "OrthogonalRegularizer",
        "MaxNorm", "MinMaxNorm", "NonNeg", "RadialConstraint", "UnitNorm",
        "Policy", "__tensor__", "__numpy__", "__tuple__", "TensorShape",
    )
)  # fmt: skip
_CODE = {
    "Lambda": "is a Lambda: Python code inside the file",
    "TFOpLambda": "calls a TensorFlow function by name that is no known layer",
    "SlicingOpLambda": "calls a TensorFlow function by name",
    "TFSMLayer": "runs a SavedModel from a path",
    "function": "names a Python function",
    "__lambda__": "carries Python code",
    "__typespec__": "names a Python class",
}


def rename_layers(value: Any, aliases: Mapping[str, str]) -> Any:
    """Return the same config with the real name of every layer class instead of an alias.

    Only a class of Keras itself is renamed. A module that the config names is then set to `keras.layers`, because an
    old class may be in another module.

    Args:
        value: the parsed JSON of a model, or a part of it.
        aliases: from alias to name.
    """
    if isinstance(value, list):
        return [rename_layers(item, aliases) for item in value]
    if not isinstance(value, Mapping):
        return value
    renamed = {key: rename_layers(item, aliases) for key, item in value.items()}
    name = value.get("class_name")
    if not isinstance(name, str) or name not in aliases or not _is_builtin(value):
        return renamed
    registered = {"registered_name": None} if value.get("registered_name") == name else {}
    module = {"module": "keras.layers"} if "module" in value else {}
    return {**renamed, "class_name": aliases[name], **module, **registered}


def check_config(config: object, where: str, mend: str = TRUST) -> None:
    """Raise ModelError unless the model's config names only built-in parts; the message names the layer and why.

    Args:
        config: the parsed JSON of the whole model. Its training configuration is not checked, because it is never built.
        where: the file, for the message.
        mend: what the message says to do.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("class_name"), str) or "config" not in config:
        raise ModelError(f"{where} does not describe a Keras model", mend="Save it again with model.save.")
    try:
        if config["class_name"] not in MODELS:
            raise _refusal(where, "the model", config["class_name"], "is not a functional Keras model", _module(config))
        _check_parts({key: value for key, value in config.items() if key != "compile_config"}, where, "the model")
    except ModelError as error:
        raise ModelError(error.symptom, mend=mend) from error


def _check_parts(value: object, where: str, owner: str) -> None:
    """Check every dictionary that names a class, however deep; `owner` is the innermost layer around it."""
    if isinstance(value, Mapping):
        name = value.get("class_name")
        if name is not None:
            owner = _owner(value, owner)
            _check_class(name, value, where, owner)
        for item in value.values():
            _check_parts(item, where, owner)
    elif isinstance(value, list):
        for item in value:
            _check_parts(item, where, owner)


def _owner(value: Mapping[str, Any], owner: str) -> str:
    inner = value.get("config")
    name = value.get("name") or (inner.get("name") if isinstance(inner, Mapping) else None)
    return f"layer {name!r}" if isinstance(name, str) and value.get("class_name") not in ("Policy", *MODELS) else owner


def _check_class(name: object, value: Mapping[str, Any], where: str, owner: str) -> None:
    module = _module(value)
    if name in _CODE:
        raise _refusal(where, owner, str(name), _CODE[str(name)], module)
    if not _is_builtin(value) or not isinstance(name, str):
        raise _refusal(where, owner, str(name), "is custom code", module)
    if value.get("registered_name") not in (None, name):
        raise _refusal(where, owner, name, f"is registered as {value['registered_name']!r}, which is custom code", module)
    if name not in LAYERS and name not in _PARTS and name not in MODELS:
        raise _refusal(where, owner, name, "is not one of Keras' layers that can be exported, so it may be custom code", module)


def _is_builtin(value: Mapping[str, Any]) -> bool:
    return _module(value).split(".")[0] in ("", "keras", "tf_keras")


def _module(value: Mapping[str, Any]) -> str:
    return str(value.get("module") or "")


def _refusal(where: str, owner: str, name: str, why: str, module: str) -> ModelError:
    source = f" from {module}" if module else ""
    return ModelError(f"{where}: {owner} uses {name!r}{source}, which {why}; reading it could run code")
