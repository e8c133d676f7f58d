"""A network as one file: a graph, its weights and, in integers, its quantization. Pure data in the safetensors format.

Tensors of the file:

    network           uint8, JSON: format, name, inputs, outputs, nodes (name, op, inputs, attrs, weights), quantization of maps
    array.N           an array that nodes refer to by N, stored once however many nodes share it
    scales.NAME       float32 [O], the scales of a node's kernel
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node, thaw
from u3p_edge.graph.scheme import Quantization, Quantized, Scheme

SUFFIX = ".safetensors"
FORMAT = "u3p-edge network 1"

NETWORK = "network"
"""Format of such a file in a manifest."""

Arrays = Mapping[str, npt.NDArray[Any]]

_DESCRIPTION = "network"
_MEND = "Copy the file again from where it was made, or export the model again."


def write_network(network: Graph | Quantized) -> bytes:
    """Return the file of a network; `read_network` gives an equal network. The same network gives the same bytes."""
    graph = network.graph if isinstance(network, Quantized) else network
    numbers: dict[int, int] = {}
    arrays: dict[str, npt.NDArray[Any]] = {}
    nodes = []
    for node in graph.nodes:
        weights = {}
        for key, array in node.weights.items():
            weights[key] = numbers.setdefault(id(array), len(numbers))
            arrays[f"array.{weights[key]}"] = np.ascontiguousarray(array)
        attrs = {key: thaw(value) for key, value in node.attrs.items()}
        nodes.append({"name": node.name, "op": node.op, "inputs": node.inputs, "attrs": attrs, "weights": weights})
    description: dict[str, Any] = {
        "format": FORMAT, "name": graph.name, "inputs": graph.inputs, "outputs": graph.outputs, "nodes": nodes,
    }  # fmt: skip
    if isinstance(network, Quantized):
        pairs = network.scheme.tensors
        description["quantization"] = {name: [pair.scale, pair.zero_point] for name, pair in pairs.items()}
        arrays |= {f"scales.{name}": np.array(scales) for name, scales in network.scheme.kernels.items()}
    text = json.dumps(description, default=lambda value: value.item())
    return bytes(safetensors.save({_DESCRIPTION: np.frombuffer(text.encode(), np.uint8), **arrays}))


def read_network(data: bytes) -> Graph | Quantized:
    """Return the network of a file that `write_network` made: a graph of float32 weights, or a network in integers.

    Raises:
        ModelError: the file is damaged, foreign, or not a network.
    """
    try:
        arrays: Arrays = safetensors.load(data)
        description = json.loads(arrays[_DESCRIPTION].tobytes())
        if description["format"] != FORMAT:
            raise ModelError(f"it is of the format {description['format']!r}, not {FORMAT!r}")
        return _network(description, arrays)
    except ModelError as error:
        raise ModelError(f"the file is not a network that can be read: {error.symptom}", mend=_MEND) from error
    except (SafetensorError, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        # A file may be valid JSON and still have values of other types than a node has.
        raise ModelError(f"the file is not a network that can be read ({type(error).__name__}: {error})", mend=_MEND) from error


def _network(description: Mapping[str, Any], arrays: Arrays) -> Graph | Quantized:
    held = {name: _frozen(array) for name, array in arrays.items() if name != _DESCRIPTION}
    nodes = tuple(
        Node(
            node["name"],
            node["op"],
            tuple(node["inputs"]),
            node["attrs"],
            {key: held[f"array.{number}"] for key, number in node["weights"].items()},
        )
        for node in description["nodes"]
    )
    graph = Graph(nodes, tuple(description["inputs"]), tuple(description["outputs"]), description["name"])
    _ = graph.shapes  # raises where shapes do not fit
    if "quantization" not in description:
        return graph
    tensors = {name: Quantization(float(scale), int(zero)) for name, (scale, zero) in description["quantization"].items()}
    prefix = "scales."
    kernels = {name.removeprefix(prefix): array for name, array in held.items() if name.startswith(prefix)}
    return Quantized(graph, Scheme(tensors, kernels))


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a read-only copy, which all nodes that refer to it share."""
    copy = np.array(array)
    copy.flags.writeable = False
    return copy
