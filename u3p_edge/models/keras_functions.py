"""Functions of TensorFlow and Keras that a config calls by name, as layers that compute the same. No TensorFlow here.

`tf.nn.relu(x)` in a model is not code in its file but a name. Names are looked up in the table of this module and nowhere else.
A name that is not there stays as it is, and is refused with its layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

Reference = tuple[str, int, int]
"""A layer, the number of its call, and of its output."""


@dataclass(frozen=True)
class FunctionCall:
    """A call of a function.

    Args:
        function: TensorFlow's name of it, such as "nn.relu".
        inputs: the tensors that it reads, in order.
        arguments: the other arguments, by name; the second of two operands is "y".
        shape: of the first input, batch included; empty where the config does not say.
    """

    function: str
    inputs: tuple[Reference, ...]
    arguments: Mapping[str, Any]
    shape: tuple[int | None, ...] = ()


_FUNCTION_LAYER = "TFOpLambda"
"""The class by which tf_keras writes a call of a function."""

_CONSTANT = "_CONSTANT_VALUE"
"""What tf_keras writes for a first argument that is no tensor."""

LayerConfig = tuple[str, dict[str, Any]]
"""A layer's class, and its config without the name."""


Rule = Callable[[FunctionCall], LayerConfig | None]


def layer_for(call: FunctionCall) -> LayerConfig | None:
    """Return the layer that computes a call; None where there is none.

    >>> layer_for(FunctionCall("nn.relu6", (("conv", 0, 0),), {}))
    ('ReLU', {'max_value': 6.0, 'negative_slope': 0.0, 'threshold': 0.0})
    """
    rule = _RULES.get(call.function)
    return rule(replace(call, arguments=_given(call.arguments))) if rule and call.inputs else None


def replace_functions(config: Any) -> Any:
    """Return the config of a tf_keras model with layers for the functions that it calls, wherever the table has one."""
    inner = config.get("config") if isinstance(config, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(inner.get("layers"), list):
        return config
    return {**config, "config": {**inner, "layers": [_replaced(entry) for entry in inner["layers"]]}}


def _replaced(entry: Any) -> Any:
    """Return a layer in place of a function; the entry itself where there is none, or it is not what Keras writes."""
    if not isinstance(entry, Mapping) or entry.get("class_name") != _FUNCTION_LAYER:
        return replace_functions(entry)
    try:
        (node,) = entry["inbound_nodes"]
        sources = [node] if isinstance(node[0], str) else node
        options = {key: value for source in sources for key, value in source[3].items()}
        shape = tuple(entry.get("build_config", {}).get("input_shape") or ())
        function, name = entry["config"]["function"], entry["config"]["name"]
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return entry
    more = [value for value in options.values() if _is_reference(value)]
    inputs = [source[:3] for source in sources] + more
    if not all(map(_is_reference, inputs)) or not isinstance(function, str):
        return entry
    plain = {key: value for key, value in options.items() if not _is_reference(value)}
    layer = layer_for(FunctionCall(function, tuple(tuple(one) for one in inputs), plain, shape))
    return entry if layer is None else write_layer(layer, name, inputs)


def write_layer(layer: LayerConfig, name: str, inputs: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """Return a layer's entry in a model's config."""
    kind, config = layer
    inbound = [[[*one, {}] for one in inputs]]
    return {"class_name": kind, "config": {"name": name, "dtype": "float32", **config}, "name": name, "inbound_nodes": inbound}


def _is_reference(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 3:
        return False
    return isinstance(value[0], str) and value[0] != _CONSTANT and type(value[1]) is int and type(value[2]) is int


def _given(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments without those that say nothing."""
    return {key: value for key, value in arguments.items() if value is not None and key != "name"}


def _is_number(value: Any) -> TypeGuard[float]:
    """Return whether a value of JSON is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _channel_numbers(value: Any) -> list[float]:
    """Return a number, or the numbers of the last axis where all other axes have one place; nothing for anything else."""
    while isinstance(value, list) and len(value) == 1:
        (value,) = value
    values = value if isinstance(value, list) else [value]
    return [float(number) for number in values] if all(map(_is_number, values)) else []


def _activation(name: str) -> Rule:
    return lambda call: ("Activation", {"activation": name}) if len(call.inputs) == 1 and not call.arguments else None


def _with_number(kind: str, key: str, argument: str, default: float) -> Rule:
    """Return the rule of a function of one tensor and one number, which is a layer's config key."""

    def rule(call: FunctionCall) -> LayerConfig | None:
        value = call.arguments.get(argument, default)
        plain = len(call.inputs) == 1 and set(call.arguments) <= {argument} and _is_number(value)
        return (kind, {key: value}) if plain else None

    return rule


def _relu6(call: FunctionCall) -> LayerConfig | None:
    config = {"max_value": 6.0, "negative_slope": 0.0, "threshold": 0.0}
    return ("ReLU", config) if len(call.inputs) == 1 and not call.arguments else None


def _gelu(call: FunctionCall) -> LayerConfig | None:
    """Return GELU itself; its approximation by a tanh is another function."""
    exact = call.arguments.get("approximate", False) is False
    return ("Activation", {"activation": "gelu"}) if exact and len(call.inputs) == 1 else None


def _of_two(kind: str, scaled: Callable[[float], tuple[float, float]] | None = None) -> Rule:
    """Return the rule of a function of two tensors, or of one and a number, or a number a channel: a scale and an offset."""

    def rule(call: FunctionCall) -> LayerConfig | None:
        if len(call.inputs) == 2 and not call.arguments:
            return (kind, {}) if kind else None
        numbers = _channel_numbers(call.arguments.get("y"))
        if scaled is None or len(call.inputs) != 1 or set(call.arguments) != {"y"} or 0 in numbers or not numbers:
            return None
        if len(numbers) > 1 and len(numbers) != (call.shape or (0,))[-1]:
            return None
        pairs = [scaled(number) for number in numbers]
        scale, offset = ([pair[i] for pair in pairs] if len(pairs) > 1 else pairs[0][i] for i in (0, 1))
        return "Rescaling", {"scale": scale, "offset": offset}

    return rule


def _concat(call: FunctionCall) -> LayerConfig | None:
    axis = call.arguments.get("axis", -1)
    plain = len(call.inputs) > 1 and set(call.arguments) <= {"axis"} and type(axis) is int
    return ("Concatenate", {"axis": axis}) if plain else None


def _resize(call: FunctionCall) -> LayerConfig | None:
    """Return an upsampling by a whole factor, bilinear with half-pixel centres or nearest."""
    wanted, method = call.arguments.get("size"), call.arguments.get("method", "bilinear")
    known = {"size", "method", "antialias", "preserve_aspect_ratio"}
    given: Sequence[Any] = call.shape[1:3]
    if method not in ("bilinear", "nearest") or set(call.arguments) - known or call.arguments.get("antialias"):
        return None
    if not isinstance(wanted, list | tuple) or len(wanted) != 2 or len(given) != 2:
        return None
    if not all(type(n) is int and n > 0 for n in (*wanted, *given)) or any(n % m for n, m in zip(wanted, given, strict=True)):
        return None
    size = [new // old for new, old in zip(wanted, given, strict=True)]
    return "UpSampling2D", {"size": size, "interpolation": method, "data_format": "channels_last"}


_RULES: Mapping[str, Rule] = {
    "nn.relu": _activation("relu"),
    "nn.relu6": _relu6,
    "nn.leaky_relu": _with_number("LeakyReLU", "alpha", "alpha", 0.2),
    "nn.elu": _with_number("ELU", "alpha", "alpha", 1.0),
    "nn.selu": _activation("selu"),
    "nn.silu": _activation("swish"),
    "nn.swish": _activation("swish"),
    "nn.gelu": _gelu,
    "nn.sigmoid": _activation("sigmoid"),
    "nn.softmax": _with_number("Softmax", "axis", "axis", -1),
    "nn.tanh": _activation("tanh"),
    "math.sigmoid": _activation("sigmoid"),
    "math.tanh": _activation("tanh"),
    "math.softplus": _activation("softplus"),
    "math.exp": _activation("exponential"),
    "concat": _concat,
    "image.resize": _resize,
    "math.add": _of_two("Add", lambda number: (1.0, number)),
    "__operators__.add": _of_two("Add", lambda number: (1.0, number)),
    "math.subtract": _of_two("Subtract", lambda number: (1.0, -number)),
    "math.multiply": _of_two("Multiply", lambda number: (number, 0.0)),
    "math.truediv": _of_two("", lambda number: (1 / number, 0.0)),
    "math.divide": _of_two("", lambda number: (1 / number, 0.0)),
    "math.maximum": _of_two("Maximum"),
    "math.minimum": _of_two("Minimum"),
}
