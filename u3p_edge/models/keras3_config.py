"""The config of a Keras 3 model, as tf_keras writes the same model. No TensorFlow here.

What differs: a tensor is a dictionary with its history, a layer's dtype is an object, functions are operations with a class of
their own, and some keys have other names. What only training needs (initialisers, regularisers, constraints) is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from u3p_edge.errors import ModelError
from u3p_edge.models.keras_calls import MODELS
from u3p_edge.models.keras_functions import FunctionCall, Reference, layer_for, write_layer

_OPERATIONS = ("keras.src.ops", "keras.ops")
"""Where Keras 3 has the classes of its functions."""

_TRAINING = ("_initializer", "_regularizer", "_constraint")
_DROPPED = frozenset(("optional", "renorm", "renorm_clipping", "renorm_momentum", "rms_scaling", "seed", "quantization_config"))
_RENAMED = {"InputLayer": {"batch_shape": "batch_input_shape"}, "LeakyReLU": {"negative_slope": "alpha"}}
_FUNCTIONS = {
    "Relu": "nn.relu", "Relu6": "nn.relu6", "LeakyRelu": "nn.leaky_relu", "Elu": "nn.elu", "Selu": "nn.selu", "Silu": "nn.silu",
    "Gelu": "nn.gelu", "Sigmoid": "nn.sigmoid", "Softmax": "nn.softmax", "Tanh": "nn.tanh", "Softplus": "math.softplus",
    "Exp": "math.exp", "Concatenate": "concat", "Add": "math.add", "Subtract": "math.subtract", "Multiply": "math.multiply",
    "TrueDivide": "math.truediv", "Divide": "math.divide", "Maximum": "math.maximum", "Minimum": "math.minimum",
    "Resize": "image.resize",
}  # fmt: skip
"""TensorFlow's name of every operation of Keras 3 that may be a layer."""

_ARGUMENTS = {"negative_slope": "alpha", "x2": "y", "interpolation": "method"}


def to_keras_2(config: Any, where: str) -> Any:
    """Return the config as tf_keras writes it. Custom classes keep their names, and are refused where names are checked.

    Args:
        config: the parsed JSON of a Keras 3 model.
        where: the file, for the message.

    Raises:
        ModelError: it is not what Keras 3 writes, is quantized, or has an activation that is another function in tf_keras.
    """
    try:
        return _model(config, where)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        mend = "Save the model again with model.save('model.keras')."
        raise ModelError(f"{where} does not describe its layers as Keras 3 does ({error!r})", mend=mend) from error


def is_keras_3(config: Any, version: object) -> bool:
    """Return whether a model is of Keras 3: its file says so, or its input layers have a `batch_shape`."""
    if version is not None:
        return str(version).split(".")[0] not in ("1", "2")
    inner = config.get("config") if isinstance(config, Mapping) else None
    layers = inner.get("layers") if isinstance(inner, Mapping) else None
    return any(
        isinstance(layer, Mapping) and isinstance(layer.get("config"), Mapping) and "batch_shape" in layer["config"]
        for layer in (layers if isinstance(layers, list) else ())
    )


def is_operation(entry: Mapping[str, Any]) -> bool:
    """Return whether an entry is a function of Keras 3. In `.h5` files modules are left out, and only layers have a dtype."""
    if "module" in entry:
        return str(entry["module"]).startswith(_OPERATIONS)
    return entry["class_name"] not in MODELS and "dtype" not in entry["config"]


def _model(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    inner = entry["config"]
    if entry["class_name"] not in MODELS or not isinstance(inner, Mapping):
        return dict(entry)
    config = {key: inner[key] for key in ("name", "trainable", "build_input_shape") if key in inner}
    models = frozenset(each["config"]["name"] for each in inner["layers"] if each["class_name"] in MODELS)
    config["layers"] = [_renumbered(_layer(each, where), models) for each in inner["layers"]]
    for side in ("input_layers", "output_layers"):
        if side in inner:
            config[side] = [_second_call(port, models) for port in _listed(inner[side])]
    return {**_head(entry), "config": config}


def _renumbered(entry: dict[str, Any], models: frozenset[str]) -> dict[str, Any]:
    """Return a layer that reads models as tf_keras numbers their calls."""
    if "inbound_nodes" not in entry or is_operation(entry):
        return entry
    return {**entry, "inbound_nodes": [[_second_call(one, models) for one in node] for node in entry["inbound_nodes"]]}


def _second_call(reference: Any, models: frozenset[str]) -> list[Any]:
    """Return a reference with the call of a model counted from 1: call 0 is that on its own inputs."""
    name, call, *rest = reference
    return [name, call + (name in models), *rest]


def _head(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: entry[key] for key in ("module", "class_name", "registered_name", "name") if key in entry}


def _listed(ports: Any) -> list[Any]:
    """Return a model's inputs or outputs as a list; Keras 3 writes a single one without."""
    if isinstance(ports, Mapping):
        return [port for value in ports.values() for port in _listed(value)]
    return [ports] if ports and isinstance(ports[0], str) else list(ports)


def _layer(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    calls = [_call(node) for node in entry.get("inbound_nodes", ())]
    if is_operation(entry):
        return _operation(entry, calls)
    inner = _model(entry, where) if entry["class_name"] in MODELS else {**_head(entry), "config": _config(entry, where)}
    if "inbound_nodes" not in entry:
        return inner
    return {**inner, "inbound_nodes": [_inbound(*call, where, entry) for call in calls]}


def _config(entry: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return a layer's config without what only training needs, and in float32."""
    policy = entry["config"].get("dtype")
    if isinstance(policy, Mapping) and "Quantized" in str(policy.get("class_name")):
        symptom = f"{where}: layer {entry['config'].get('name')!r} is quantized already"
        raise ModelError(symptom, mend="Save the model before model.quantize.")
    names = _RENAMED.get(entry["class_name"], {})
    kept = {
        names.get(key, key): value
        for key, value in entry["config"].items()
        if key not in _DROPPED and not key.endswith(_TRAINING)
    }
    if kept.get("activation") in ("hard_sigmoid", "leaky_relu"):
        symptom = f"{where}: layer {kept.get('name')!r} has the activation {kept['activation']!r}"
        raise ModelError(f"{symptom}, which a graph has no form for", mend="Use another, or a layer such as LeakyReLU.")
    if kept.get("activation") == "silu":
        kept["activation"] = "swish"
    return {**kept, "dtype": "float32"}


def _call(node: Mapping[str, Any]) -> tuple[list[Reference], list[Any], dict[str, Any]]:
    """Return the tensors that a call reads, its other positional arguments, and its keyword arguments."""
    tensors, constants = [], []
    for value in node["args"]:
        references = _tensors(value)
        tensors += references
        constants += [] if references else [value]
    return tensors, constants, {key: value for key, value in node["kwargs"].items() if value is not None}


def _tensors(value: Any) -> list[Reference]:
    if isinstance(value, list):
        return [reference for item in value for reference in _tensors(item)]
    if isinstance(value, Mapping) and value.get("class_name") == "__keras_tensor__":
        name, call, output = value["config"]["keras_history"]
        return [(name, call, output)]
    return []


def _inbound(
    tensors: list[Reference], constants: list[Any], options: dict[str, Any], where: str, entry: Mapping[str, Any]
) -> list[Any]:
    if constants or any(_tensors(value) for value in options.values()):
        name = entry["config"].get("name")
        symptom = f"{where}: layer {name!r} is called with more than the maps that it reads"
        raise ModelError(symptom, mend="Call it with those alone.")
    return [[*tensor, options] for tensor in tensors]


def _operation(entry: Mapping[str, Any], calls: list[tuple[list[Reference], list[Any], dict[str, Any]]]) -> dict[str, Any]:
    """Return an operation as a layer; one that is none stays, and is refused by its name."""
    if len(calls) != 1 or entry["class_name"] not in _FUNCTIONS:
        return dict(entry)
    tensors, constants, options = calls[0]
    arguments = {_ARGUMENTS.get(key, key): value for key, value in {**entry["config"], **options}.items()}
    for key, value in options.items():
        if references := _tensors(value):
            tensors = [*tensors, *references]
            del arguments[_ARGUMENTS.get(key, key)]
    if constants:
        arguments["y"] = constants[0]
    first = entry["inbound_nodes"][0]["args"][:1]
    if not first or not _tensors(first) or len(constants) > 1:
        return dict(entry)
    shape = _shape(first[0])
    layer = layer_for(FunctionCall(_FUNCTIONS[entry["class_name"]], tuple(tensors), _plain(arguments), shape))
    if layer is None:
        return dict(entry)
    return write_layer(layer, entry["config"]["name"], tensors)


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(value["config"]["shape"]) if isinstance(value, Mapping) else ()


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments without those that have their usual value and mean nothing to a layer."""
    usual = {"data_format": "channels_last", "antialias": False, "crop_to_aspect_ratio": False, "pad_to_aspect_ratio": False}
    ignored = ("fill_mode", "fill_value", "dtype")
    return {k: v for k, v in arguments.items() if k not in ignored and not (k in usual and v == usual[k])}
