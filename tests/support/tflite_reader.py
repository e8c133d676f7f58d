"""Read a TFLite file as a graph: float32 as a `Graph`, int8 as the network in integers. The inverse of the writer without
layouts, and an oracle: the package itself keeps the networks that it makes, and reads no file in order to go on.

Where an integer network has a float32 input and output (QUANTIZE first, DEQUANTIZE last), only the network between is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from tests.support.tflite_read_ops import READERS, Reading, fused
from u3p_edge.conversion.tflite.names import list_names
from u3p_edge.conversion.tflite.schema import Operator, Tensor, TFLiteGraph
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.scheme import Quantization, Quantized, Scheme, out_channels


@dataclass(frozen=True)
class _Part:
    """What one operator becomes: its nodes, and the quantization of their tensors and kernels by node name."""

    nodes: tuple[Node, ...]
    tensors: Mapping[str, Quantization] = field(default_factory=dict)
    kernels: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)


def read_graph(file: TFLiteGraph) -> Quantized | Graph:
    """Return the network of a TFLite file: input `image`, output `mask`, every other node named after its tensor.

    Args:
        file: a graph of one input and one output, from `schema.parse_tflite`.

    Returns:
        The integer network of an int8 file, the graph of a float32 file; nodes in the order of the file's operators.

    Raises:
        ModelError: for an operator, an option or an element type that a graph cannot express; the message names it.
    """
    try:
        return _network(file)
    except (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        # A file may be valid and still be connected in ways that the reader of a single operator does not check.
        raise ModelError(
            f"the TFLite file is not a network that can be read ({type(error).__name__}: {error})",
            mend="Give a file of `u3p-edge export`.",
        ) from error


def _network(file: TFLiteGraph) -> Quantized | Graph:
    same = _float_ends(file)
    _check_layout(file)
    called = list_names(file, same)
    first = called[file.inputs[0]]
    shape = (None, *file.tensors[file.inputs[0]].shape[1:])
    parts = [_part(file, op, called) for op in file.operators if op.outputs[0] not in same and _crosses(file, op) != "out"]
    nodes = (Node(first, "input", (), {"shape": shape}), *(node for part in parts for node in part.nodes))
    graph = Graph(nodes, (first,), (called[file.outputs[0]],))
    _check_shapes(file, graph, called)
    tensors = {name: pair for part in parts for name, pair in part.tensors.items()}
    if not tensors:
        return graph
    entry = file.tensors[_stored(same, file.inputs[0])]
    kernels = {name: scales for part in parts for name, scales in part.kernels.items()}
    return Quantized(graph, Scheme({first: _quantization(entry), **tensors}, kernels))


def _check_layout(file: TFLiteGraph) -> None:
    """Refuse a file with maps as a batch of rows or of bands, as the writer lays them out: a graph has maps alone."""
    laid = next(
        (tensor for tensor in file.tensors if tensor.data is None and len(tensor.shape) == 4 and tensor.shape[0] > 1), None
    )
    if laid is not None:
        raise ModelError(
            f"the TFLite file has rows or bands of a map as images of a batch ({laid.name!r})",
            mend="Write it without layouts.",
        )


def _crosses(file: TFLiteGraph, op: Operator) -> str:
    """Return "in" for an operator that leads from floats to integers, "out" for the way back, and "" for every other one."""
    if op.code not in ("QUANTIZE", "DEQUANTIZE"):
        return ""
    before, after = (file.tensors[index].dtype for index in (op.inputs[0], op.outputs[0]))
    return "in" if before != np.int8 else "out" if after != np.int8 else ""


def _float_ends(file: TFLiteGraph) -> Mapping[int, int]:
    """Map each tensor that is the same map as another to that other: the integers of the input, and the float output."""
    same: dict[int, int] = {}
    for op in file.operators:
        way, source, target = _crosses(file, op), op.inputs[0], op.outputs[0]
        if (way == "in" and source not in file.inputs) or (way == "out" and target not in file.outputs):
            raise ModelError(
                f"the TFLite file changes between integers and floats inside: {op.code} gives {file.tensors[target].name!r}",
                mend="A network must be all float32 or all int8.",
            )
        if way == "in":
            if source in same.values():
                raise ModelError("the TFLite file quantizes its input in two ways")
            same[target] = source
        if way == "out":
            same[target] = source
    return MappingProxyType(same)


def _stored(same: Mapping[int, int], index: int) -> int:
    """Return the tensor that holds the integers of the input."""
    return next((target for target, source in same.items() if source == index), index)


def _part(file: TFLiteGraph, op: Operator, called: Mapping[int, str]) -> _Part:
    if op.code not in READERS:
        raise ModelError(f"the TFLite operator {op.code} has no form in a graph here")
    name = called[op.outputs[0]]
    at = Reading(file, op, called, name)
    node = READERS[op.code](at)
    behind = fused(at, node)
    tensors = {name: _quantization(at.output)} if at.output.dtype == np.int8 else {}
    if at.output.dtype not in (np.int8, np.float32):
        raise at.refusal(f"it computes {at.output.dtype}")
    if behind is not None:
        node = replace(node, name=behind.inputs[0])
    kernels = {node.name: _scales(at, node)} if "kernel" in node.weights and tensors else {}
    return _Part((node,) if behind is None else (node, behind), tensors, kernels)


def _quantization(tensor: Tensor) -> Quantization:
    if tensor.scale.size != 1:
        raise ModelError(f"the TFLite tensor {tensor.name!r} is not int8 with one scale")
    return Quantization(float(tensor.scale[0]), int(tensor.zero_point[0]))


def _scales(at: Reading, node: Node) -> npt.NDArray[np.float32]:
    """Return a scale for every output channel; a kernel with a single scale has it in every channel."""
    found, channels = at.tensor(1).scale, out_channels(node)
    if found.size not in (1, channels):
        raise at.refusal(f"its kernel has {found.size} scales for {channels} channels")
    return np.array(np.broadcast_to(found, (channels,)))


def _check_shapes(file: TFLiteGraph, graph: Graph, called: Mapping[int, str]) -> None:
    """Check that the shapes of the maps in the file are those that the graph computes."""
    shapes = graph.shapes
    for index, name in called.items():
        tensor = file.tensors[index]
        if shapes[name] != tensor.shape:
            raise ModelError(f"the TFLite tensor {tensor.name!r} of shape {tensor.shape} should have {shapes[name]}")
