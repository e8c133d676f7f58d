"""The layer calls that the config of a Keras model describes, in an order in which they can be computed. No TensorFlow here.

A config refers to calls by the name of a layer and a number. Keras waits without end for a call that never comes, so every
reference is followed here first. A model inside a model is replaced by its layers.
"""

from __future__ import annotations

import graphlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from u3p_edge.errors import ModelError

MAX_CALLS = 5000
"""Most calls of one model. UNet 3+ has some 150, the deepest published networks some 2000."""

_MEND = "Save the model again with model.save(...) of tf_keras."

Key = tuple[str, int]
"""Name of a layer and number of its call."""

Reference = tuple[str, int, int]
"""Name of a layer, number of its call, and number of the output."""

MODELS = ("Functional", "Model", "Sequential")
"""Classes of models."""


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer.

    Args:
        layer: its name; of one in a model inside the model, after that model's and a slash.
        kind: its class, such as "Conv2D".
        config: its configuration.
        number: 0 for the layer's first call.
        sources: the calls whose outputs it reads, in order.
    """

    layer: str
    kind: str
    config: Mapping[str, Any]
    number: int
    sources: tuple[Key, ...]


@dataclass(frozen=True)
class _Model:
    """The layers of a model: name, config's entry, and what each call reads; its inputs and its outputs."""

    layers: tuple[tuple[str, Mapping[str, Any], tuple[tuple[Reference, ...], ...]], ...]
    inputs: tuple[Reference, ...]
    outputs: tuple[Reference, ...]


def read_calls(config: Mapping[str, Any], where: str) -> tuple[LayerCall, ...]:
    """Return every call of a functional or Sequential model, each after those it reads.

    Args:
        config: the parsed JSON of the whole model.
        where: the file, for the message.

    Raises:
        ModelError: a layer reads a call that does not exist, or depends on itself (the message names it), a model inside it is
            called several times, or the config is not that of a model.
    """
    try:
        model = _model(config)
        calls, ends = _expand(model)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, RecursionError) as error:
        raise ModelError(f"{where} does not describe its layers as Keras does ({error!r})", mend=_MEND) from error
    if len(calls) > MAX_CALLS:
        raise ModelError(f"{where} describes a model of {len(calls)} layers; at most {MAX_CALLS} are read")
    known = {(call.layer, call.number): call for call in calls}
    if len(known) != len(calls):
        raise ModelError(f"{where} gives one name to several layers", mend=_MEND)
    for call in calls:
        for source in call.sources:
            _check_source(source, known, f"{where}: layer {call.layer!r}")
    for side, keys in (("input_layers", [(name, call) for name, call, _ in model.inputs]), ("output_layers", ends)):
        for source in keys:
            _check_source(source, known, f"{where}: the model's {side}")
    return tuple(known[key] for key in _order(known, where))


def _expand(model: _Model, prefix: str = "", feeds: Sequence[Key] | None = None) -> tuple[list[LayerCall], list[Key]]:
    """Return the calls of a model, and those that give its outputs.

    Args:
        model: the model.
        prefix: of the names of its layers.
        feeds: what it reads in place of its own inputs; None for the outermost model.
    """
    replaced: dict[Reference, Key] = {} if feeds is None else dict(zip(model.inputs, feeds, strict=True))
    inputs = {name for name, _, _ in replaced}
    calls: list[LayerCall] = []

    def key(reference: Reference) -> Key:
        return replaced.get(reference, (prefix + reference[0], reference[1]))

    for name, entry, inbound in model.layers:
        if entry["class_name"] in MODELS:
            if len(inbound) != 1:
                raise ValueError(f"the model {name!r} inside it is called {len(inbound)} times")
            if entry["config"]["layers"][0]["class_name"] != "InputLayer":
                raise ValueError(f"the model {name!r} inside it has no input layer")
            inner, outputs = _expand(_model(entry), f"{prefix}{name}/", [key(reference) for reference in inbound[0]])
            calls += inner
            # Call 0 of such a model is that on its own inputs.
            replaced |= {(name, 1, number): output for number, output in enumerate(outputs)}
        elif name not in inputs:
            calls += [_call(prefix + name, entry, n, tuple(map(key, given))) for n, given in enumerate(inbound)]
    return calls, [key(reference) for reference in model.outputs]


def _model(entry: Mapping[str, Any]) -> _Model:
    return _sequential(entry["config"]) if entry["class_name"] == "Sequential" else _functional(entry["config"])


def _check_source(source: Key, known: Mapping[Key, LayerCall], reader: str) -> None:
    name, number = source
    if (name, 0) not in known:
        raise ModelError(f"{reader} reads the layer {name!r}, which does not exist", mend=_MEND)
    if source not in known:
        raise ModelError(f"{reader} reads call {number} of the layer {name!r}, which does not exist", mend=_MEND)


def _order(known: Mapping[Key, LayerCall], where: str) -> tuple[Key, ...]:
    try:
        return tuple(graphlib.TopologicalSorter({key: call.sources for key, call in known.items()}).static_order())
    except graphlib.CycleError as error:
        raise ModelError(f"{where}: layer {error.args[1][0][0]!r} depends on itself", mend=_MEND) from error


def _sequential(config: Any) -> _Model:
    """Return a chain of calls; Keras 2.2 wrote only the list of layers, and later versions may leave the input layer out."""
    entries = config if isinstance(config, list) else config["layers"]
    first = entries[0]["config"]
    if entries[0]["class_name"] != "InputLayer":
        shape = first.get("batch_input_shape") or (config.get("build_input_shape") if isinstance(config, Mapping) else None)
        entries = [{"class_name": "InputLayer", "config": {"name": "the input", "batch_input_shape": shape}}, *entries]
    ends = [(entry["config"]["name"], int(entry["class_name"] in MODELS), 0) for entry in entries]
    sources: list[tuple[Reference, ...]] = [(), *((end,) for end in ends[:-1])]
    layers = tuple((end[0], entry, (given,)) for end, entry, given in zip(ends, entries, sources, strict=True))
    return _Model(layers, (ends[0],), (ends[-1],))


def _functional(config: Mapping[str, Any]) -> _Model:
    layers = []
    for entry in config["layers"]:
        name = entry.get("name", entry["config"].get("name"))
        inbound = entry["inbound_nodes"] or [[]]
        layers.append((name, entry, tuple(tuple(_references(node)) for node in inbound)))
    inputs, outputs = (tuple(_references(config.get(side, ()))) for side in ("input_layers", "output_layers"))
    return _Model(tuple(layers), inputs, outputs)


def _call(name: Any, entry: Mapping[str, Any], number: int, sources: tuple[Key, ...]) -> LayerCall:
    if not isinstance(name, str) or not isinstance(entry["config"], Mapping):
        raise ValueError("a layer without a name or a configuration")
    return LayerCall(name, str(entry["class_name"]), entry["config"], number, sources)


def _holds_reference(options: Any) -> bool:
    """Return whether a call's options name a layer's output, for which Keras would wait."""
    if isinstance(options, Mapping):
        return any(map(_holds_reference, options.values()))
    if not isinstance(options, list | tuple):
        return False
    return (len(options) == 3 and isinstance(options[0], str)) or any(map(_holds_reference, options))


def _references(value: Any) -> Sequence[Reference]:
    """Return the references in one call's nested lists of [name, call, tensor] or [name, call, tensor, options]."""
    if isinstance(value, Mapping):
        return [reference for key in sorted(value) for reference in _references(value[key])]
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is not a reference to a layer")
    if value and isinstance(value[0], str):
        if len(value) not in (3, 4) or type(value[1]) is not int or type(value[2]) is not int:
            raise ValueError(f"{value!r} is not a reference to a layer")
        if len(value) == 4 and _holds_reference(value[3]):
            raise ValueError(f"the call of {value[0]!r} reads another layer by a keyword")
        return [(value[0], value[1], value[2])]
    return [reference for item in value for reference in _references(item)]
