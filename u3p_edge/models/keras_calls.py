"""The layer calls that the config of a Keras model describes, in an order in which they can be computed. No TensorFlow here.

A config refers to calls by the name of a layer and a number. Keras waits without end for a call that never comes, so every
reference is followed here first.
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


@dataclass(frozen=True)
class LayerCall:
    """One call of a layer.

    Args:
        layer: its name.
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


def read_calls(config: Mapping[str, Any], where: str) -> tuple[LayerCall, ...]:
    """Return every call of a functional or Sequential model, each after those it reads.

    Args:
        config: the parsed JSON of the whole model.
        where: the file, for the message.

    Raises:
        ModelError: a layer reads a call that does not exist, or depends on itself (the message names it), or the config is not
            that of a model.
    """
    try:
        calls = _sequential(config["config"]) if config["class_name"] == "Sequential" else _functional(config["config"])
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise ModelError(f"{where} does not describe its layers as Keras does ({error!r})", mend=_MEND) from error
    if len(calls) > MAX_CALLS:
        raise ModelError(f"{where} describes a model of {len(calls)} layers; at most {MAX_CALLS} are read")
    known = {(call.layer, call.number): call for call in calls}
    if len(known) != len(calls):
        raise ModelError(f"{where} gives one name to several layers", mend=_MEND)
    for call in calls:
        for source in call.sources:
            _check_source(source, known, f"{where}: layer {call.layer!r}")
    if config["class_name"] != "Sequential":
        for side in ("input_layers", "output_layers"):
            for source in _references(config["config"].get(side, ())):
                _check_source(source, known, f"{where}: the model's {side}")
    return tuple(known[key] for key in _order(known, where))


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


def _sequential(config: Any) -> list[LayerCall]:
    """Return a chain of calls; Keras 2.2 wrote only the list of layers, and later versions may leave the input layer out."""
    entries = config if isinstance(config, list) else config["layers"]
    first = entries[0]["config"]
    if entries[0]["class_name"] != "InputLayer":
        shape = first.get("batch_input_shape") or (config["build_input_shape"] if isinstance(config, Mapping) else None)
        entries = [{"class_name": "InputLayer", "config": {"name": "the input", "batch_input_shape": shape}}, *entries]
    names = [entry["config"]["name"] for entry in entries]
    sources = [(), *(((name, 0),) for name in names[:-1])]
    return [_call(e["config"]["name"], e, 0, source) for e, source in zip(entries, sources, strict=True)]


def _functional(config: Mapping[str, Any]) -> list[LayerCall]:
    calls = []
    for entry in config["layers"]:
        name = entry.get("name", entry["config"].get("name"))
        inbound = entry["inbound_nodes"] or [[]]
        calls += [_call(name, entry, number, tuple(_references(node))) for number, node in enumerate(inbound)]
    return calls


def _call(name: Any, entry: Mapping[str, Any], number: int, sources: tuple[Key, ...]) -> LayerCall:
    if not isinstance(name, str) or not isinstance(entry["config"], Mapping):
        raise ValueError("a layer without a name or a configuration")
    return LayerCall(name, str(entry["class_name"]), entry["config"], number, sources)


def _references(value: Any) -> Sequence[Key]:
    """Return the (layer, call) pairs in one call's nested lists of [name, call, tensor] or [name, call, tensor, options]."""
    if isinstance(value, Mapping):
        return [pair for key in sorted(value) for pair in _references(value[key])]
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is not a reference to a layer")
    if value and isinstance(value[0], str):
        if len(value) not in (3, 4) or type(value[1]) is not int:
            raise ValueError(f"{value!r} is not a reference to a layer")
        return [(value[0], value[1])]
    return [pair for item in value for pair in _references(item)]
