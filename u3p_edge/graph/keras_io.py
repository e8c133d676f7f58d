"""Convert tf_keras models to graphs and back, exactly: `to_keras(from_keras(model))` has the same configs, weights and outputs.

`u3p_edge.graph.keras_layers` lists which layer becomes which op. What a layer's config has beyond the op's attributes
(initialisers, regularisers, dtype, ...) is kept in the node's attribute "keras" and written back. A node made by a rewrite has
no such attribute and gets Keras' defaults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from u3p_edge.errors import ModelError
from u3p_edge.graph import keras_own
from u3p_edge.graph.ir import KERAS, Graph, Node, rename, thaw
from u3p_edge.graph.keras_layers import LAYERS, REFUSED
from u3p_edge.graph.ops import Attrs, Weights
from u3p_edge.graph.ops.op import Layer

Array = npt.NDArray[Any]
Reference = tuple[str, int, int]
"""A layer, the number of its call, and of its output."""


def _class(name: str) -> Any:
    """Return a layer class by its name."""
    if LAYERS[name].function:
        return keras_own.layer_of(name, LAYERS[name].function)
    return getattr(keras_own, name, None) or getattr(tf_keras.layers, name)


def _layer_kind(node: Node) -> Layer:
    """Return the first of the op's layers that can say all the node's attributes."""
    for layer in node.kind.layers:
        if all(name in layer.attrs or node.attrs[name] == default for name, default in node.kind.attrs.items()):
            return layer
    raise ModelError(
        f"the node {node.name!r} ({node.op}) has no Keras layer",
        mend="If a rewrite made it, take the graph before that; a new op names its layer in its record (`Op.layers`).",
    )


def from_keras(model: tf_keras.Model) -> Graph:
    """Return the functional (or Sequential) model as a graph: names, weights, order of inputs and outputs are kept.

    A layer without weights that is called several times becomes one node for each call. A model inside the model becomes its
    nodes, named after it and themselves.

    Raises:
        ModelError: there is a layer that is not in `LAYERS`, a layer with weights or a model that is called several times, or a
            call that asks for training behaviour. The message names the layer, its class and the reason.
    """
    whole = _functional(model)
    config = whole.get_config()
    layers = {layer.name: layer for layer in whole.layers}
    inner = {name: from_keras(layer) for name, layer in layers.items() if isinstance(layer, tf_keras.Model)}
    names = _call_names(config["layers"], inner)
    nodes = [
        node
        for entry in config["layers"]
        for node in (
            _inlined(layers[entry["name"]], entry["inbound_nodes"], names, inner[entry["name"]])
            if entry["name"] in inner
            else _nodes(layers[entry["name"]], entry["inbound_nodes"], names)
        )
    ]
    return Graph(
        nodes=_sorted(nodes),
        inputs=tuple(names[key] for key in _references(config["input_layers"])),
        outputs=tuple(names[key] for key in _references(config["output_layers"])),
        name=whole.name,
    )


def to_keras(graph: Graph) -> tf_keras.Model:
    """Return the graph as a functional tf_keras model whose layers have the nodes' names.

    The model gives a single output as one tensor, several as a list.
    """
    tensors = connect(graph, {name: build_layer(graph[name]).output for name in graph.inputs})
    outputs = [tensors[name] for name in graph.outputs]
    inputs = [tensors[name] for name in graph.inputs]
    return tf_keras.Model(
        inputs[0] if len(inputs) == 1 else inputs, outputs[0] if len(outputs) == 1 else outputs, name=graph.name
    )


def connect(graph: Graph, feeds: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors of all nodes, computed by new layers of their names from tensors for the graph's inputs."""
    tensors = dict(feeds)
    for node in graph.nodes:
        if node.op == "input":
            continue
        layer, given = build_layer(node), [tensors[name] for name in node.inputs]
        tensors[node.name] = layer(given[0] if len(given) == 1 else given, **thaw(node.attrs.get(KERAS, {})).get("call", {}))
        _assign(layer, node)
    return tensors


def _functional(model: tf_keras.Model) -> tf_keras.Model:
    if not isinstance(model, tf_keras.Model):
        raise ModelError(f"{type(model).__name__} is not a tf_keras model", mend="Load or build it with tf_keras.")
    if not getattr(model, "_is_graph_network", False):
        raise ModelError(
            f"the model {model.name!r} ({type(model).__name__}) is not a functional Keras model, so its layers cannot be read",
            mend="Build it as tf_keras.Model(inputs, outputs).",
        )
    if isinstance(model, tf_keras.Sequential):
        return tf_keras.Model(model.inputs, model.outputs, name=model.name)
    return model


def _call_names(entries: list[dict[str, Any]], inner: Mapping[str, Graph]) -> dict[Reference, str]:
    """Return a node name for every (layer, call, output): the layer's name for its first call."""
    names = {(entry["name"], 0, 0): entry["name"] for entry in entries if entry["name"] not in inner}
    for entry in entries:
        if entry["name"] in inner:
            outputs = inner[entry["name"]].outputs  # a model has call 0 on its own inputs, if they are layers
            for call in (0, 1):
                names |= {(entry["name"], call, i): _inner_name(entry["name"], node) for i, node in enumerate(outputs)}
            continue
        for call in range(1, len(entry["inbound_nodes"])):
            names[entry["name"], call, 0] = _free(f"{entry['name']}_call{call}", set(names.values()))
    return names


def _inner_name(model: str, node: str) -> str:
    """Return the name of a node of a model inside the model."""
    return f"{model}.{node}"


def _free(wanted: str, taken: set[str]) -> str:
    return wanted if wanted not in taken else _free(f"{wanted}_", taken)


def _references(value: Any) -> list[Reference]:
    """Return the triples of a config's nest of [name, call, output], in Keras' flat order."""
    if isinstance(value, Mapping):
        return [reference for key in sorted(value) for reference in _references(value[key])]
    if len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
        return [(value[0], value[1], value[2])]
    return [reference for item in value for reference in _references(item)]


def _inlined(layer: tf_keras.Model, calls: list[Any], names: Mapping[Reference, str], graph: Graph) -> list[Node]:
    """Return the nodes of a model inside the model, its inputs as identities."""
    if len(calls) != 1:
        raise _refusal(layer, f"it is a model that is called {len(calls)} times")
    feeds = dict(zip(graph.inputs, _sources(layer, calls[0], names), strict=True))
    outside = {_inner_name(layer.name, name): source for name, source in feeds.items()}
    renamed = rename(graph, {node.name: _inner_name(layer.name, node.name) for node in graph.nodes})
    return [Node(n.name, "identity", (outside[n.name],)) if n.name in outside else n for n in renamed.nodes]


def _nodes(layer: tf_keras.layers.Layer, calls: list[Any], names: Mapping[Reference, str]) -> list[Node]:
    """Return one node for every call of the layer."""
    kind = LAYERS.get(type(layer).__name__)
    if kind is None or type(layer) is not _class(type(layer).__name__):
        raise ModelError(
            f"layer {layer.name!r} of class {type(layer).__name__} is not a layer that can be exported",
            mend=f"These can: {', '.join(sorted(LAYERS))}.",
        )
    if len(calls) > 1 and layer.weights:
        raise _refusal(layer, f"it is called {len(calls)} times with one set of weights")
    attrs, weights = _read(layer, kind)
    if kind.op == "input":
        return [Node(layer.name, kind.op, (), attrs, weights)]
    return [_called(layer, kind.op, call, attrs, weights, names, i) for i, call in enumerate(calls)]


def _called(
    layer: tf_keras.layers.Layer,
    op: str,
    call: Any,
    attrs: Attrs,
    weights: Weights,
    names: Mapping[Reference, str],
    number: int,
) -> Node:
    sources = [call] if isinstance(call[0], str) else call
    options = {key: value for source in sources for key, value in source[3].items()}
    if options.get("training") or set(options) - {"training"}:
        raise _refusal(layer, f"it is called with {', '.join(f'{k}={v!r}' for k, v in options.items())}")
    extra = {**attrs[KERAS], "call": options} if options else attrs[KERAS]
    return Node(names[layer.name, number, 0], op, _sources(layer, call, names), {**attrs, KERAS: extra}, weights)


def _sources(layer: tf_keras.layers.Layer, call: Any, names: Mapping[Reference, str]) -> tuple[str, ...]:
    """Return the nodes that a call reads."""
    sources = [call] if isinstance(call[0], str) else call
    if any(tuple(source[:3]) not in names for source in sources):
        raise _refusal(layer, "it reads something that is not another layer's output")
    return tuple(names[source[0], source[1], source[2]] for source in sources)


def _read(layer: tf_keras.layers.Layer, kind: Layer) -> tuple[dict[str, Any], dict[str, Array]]:
    """Return the attributes of a layer, with the rest of its config under "keras", and its weights."""
    config = layer.get_config()
    for key, refused, why in REFUSED:
        if key in config and refused(config[key]):
            raise _refusal(layer, why)
    function = getattr(layer, "activation", None)
    if function is not None and not function.__module__.startswith(("tf_keras.", "tensorflow.")):
        raise _refusal(
            layer, "its activation is a custom function with the name of one of Keras'"
        )  # the config says only the name
    weights = {
        name: _swapped(getattr(layer, attribute).numpy(), kind, name)
        for name, attribute in kind.weights.items()
        if getattr(layer, attribute, None) is not None
    }
    if kind.attrs_of is not None:
        try:
            return {**kind.attrs_of(weights), KERAS: {}}, {}
        except ValueError as error:
            raise _refusal(layer, str(error)) from error
    attrs = {name: config[key] for name, key in kind.attrs.items() if key in config}
    known = {"name", *kind.attrs.values(), *kind.derived(weights)}
    return {**attrs, KERAS: {key: value for key, value in config.items() if key not in known}}, weights


def _swapped(array: Array, kind: Layer, name: str) -> Array:
    return np.swapaxes(array, 2, 3) if kind.swap and name == "kernel" else array


def _refusal(layer: tf_keras.layers.Layer, why: str) -> ModelError:
    return ModelError(f"layer {layer.name!r} of class {type(layer).__name__} cannot be exported: {why}")


def _sorted(nodes: list[Node]) -> tuple[Node, ...]:
    """Return the nodes in topological order, in the given order where possible (calls of a shared layer may move apart)."""
    done: dict[str, Node] = {}
    while len(done) < len(nodes):
        ready = next(n for n in nodes if n.name not in done and all(name in done for name in n.inputs))
        done[ready.name] = ready
    return tuple(done.values())


def build_layer(node: Node) -> tf_keras.layers.Layer:
    """Return the node's layer, not yet built."""
    kind = _layer_kind(node)
    rest = {key: value for key, value in thaw(node.attrs.get(KERAS, {})).items() if key != "call"}
    named = {key: thaw(node.attrs[name]) for name, key in kind.attrs.items()}
    config = {**rest, **named, **kind.derived(node.weights), "name": node.name}
    return _class(kind.name).from_config(config)


def _assign(layer: tf_keras.layers.Layer, node: Node) -> None:
    for attribute, array in list_weights(node):
        getattr(layer, attribute).assign(array)


def list_weights(node: Node) -> list[tuple[str, Array]]:
    """Return the weights of a node as its layer has them: the layer's attribute and the array, for each."""
    kind = _layer_kind(node)
    return [(kind.weights[name], _swapped(array, kind, name)) for name, array in node.weights.items()]


def read_weights(node: Node, value: Callable[[str], Array]) -> dict[str, Array]:
    """Return new weights for a node; `value` gives what an attribute of its layer holds."""
    kind = _layer_kind(node)
    return {name: _swapped(value(kind.weights[name]), kind, name) for name in node.weights}


def kernel_attribute(node: Node) -> str:
    """Return the attribute of a node's layer that holds its kernel; empty for a node without one."""
    return _layer_kind(node).weights["kernel"] if "kernel" in node.weights else ""
