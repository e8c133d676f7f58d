"""Read a float ONNX file as a graph."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from u3p_edge.config.limits import MAX_SIDE
from u3p_edge.errors import ConfigError, ModelError, about
from u3p_edge.graph.ir import Graph, Node, rename
from u3p_edge.importing.onnx.absorb import absorb_scales
from u3p_edge.importing.onnx.call import ONNXOperator, Value
from u3p_edge.importing.onnx.constants import FOLDED, fold_constants
from u3p_edge.importing.onnx.content import ModelPort, ONNXContent, read_content
from u3p_edge.importing.onnx.input_layout import find_layout
from u3p_edge.importing.onnx.operators import MENDS, OPERATORS
from u3p_edge.importing.onnx.tensors import NHWC, FileTensor, compute, with_order

Size = tuple[int, int]
_DOMAINS = ("", "ai.onnx")
_DAMAGED = (ValueError, IndexError, KeyError, TypeError, OverflowError, ZeroDivisionError)
"""What attributes and shapes that do not fit together raise in an operator's reader."""

_LONGEST_NAME = 120
_GROUPS_MEND = "Reshape it to the map that it was right after its normalisation, as GroupNorm of PyTorch does."


def read_onnx(path: Path, size: Size | None = None) -> Graph:
    """Read a float ONNX file of a network of 2-D images as a graph: NHWC, without transposes, whatever the file's layout.

    Its numbers are those of the file up to rounding. Nodes are called after the file's values, and outputs by their own names.

    Args:
        path: the file. Weights may lie in data files beside it.
        size: height and width of the image, for a file that does not fix them; the same as the file's otherwise.

    Raises:
        ModelError: the file is damaged, holds an operator that a graph has no form for (the message names the node and the
            operator), reaches out of its folder, or leaves the size of the image open and none is given.
        ConfigError: `size` is not one that the file allows.
    """
    with about(path):
        content = read_content(path)
        return _read(content, size)


def _read(content: ONNXContent, size: Size | None) -> Graph:
    nodes = _needed(content)
    names = _name_values([p.name for p in content.inputs] + [name for node in nodes for name in node.output])
    inputs = {port.name: _input(port, nodes, names, size) for port in content.inputs}
    values: dict[str, Value] = {**content.constants, **inputs}
    built: dict[str, Node] = {node.name: node for tensor in inputs.values() for node in tensor.nodes}
    checker, readers = _checker(content.opset), _readers(content, nodes)
    for node in nodes:
        for name, value in zip(node.output, _values(node, values, names, readers, checker), strict=False):
            built.update((each.name, each) for each in (value.nodes if isinstance(value, FileTensor) else ()))
            values[name] = replace(value, nodes=()) if isinstance(value, FileTensor) else value
    ends = tuple(_output(port, values) for port in content.outputs)
    graph = absorb_scales(Graph(tuple(built.values()), tuple(tensor.node for tensor in inputs.values()), ends))
    return _name_outputs(graph, [port.name for port in content.outputs])


def _output(port: ModelPort, values: Mapping[str, Value]) -> str:
    """Return the node of an output of the model."""
    value = values.get(port.name)
    if not isinstance(value, FileTensor):
        raise ModelError(f"its output {port.name[:80]!r} is not computed from the image", mend="Export the model again.")
    if value.groups:
        raise ModelError(f"its output {port.name[:80]!r} is a map whose channels are joined in groups", mend=_GROUPS_MEND)
    return value.node


def _needed(content: ONNXContent) -> tuple[Any, ...]:
    """Return the operators that the outputs need."""
    wanted = {port.name for port in content.outputs}
    kept = []
    for node in reversed(content.nodes):
        if wanted & set(node.output):
            kept.append(node)
            wanted.update(node.input)
    return tuple(reversed(kept))


def _input(port: ModelPort, nodes: Sequence[Any], names: Mapping[str, str], size: Size | None) -> FileTensor:
    """Return the tensor of an input of the model."""
    called = f"its input {port.name[:80]!r}"
    if len(port.dims) != 4:
        raise ModelError(f"{called} has {len(port.dims)} axes, and an image has four: [N, C, H, W] or [N, H, W, C]")
    if port.dtype != "float32":
        raise ModelError(f"{called} is {port.dtype}, not float32", mend="Export the model with a float32 input.")
    order = find_layout(nodes, port.name, port.dims)
    batch, height, width, channels = (port.dims[order.index(axis)] for axis in range(4))
    if channels is None:
        raise ModelError(f"{called} has no fixed number of channels", mend="Export the model with it fixed.")
    if None in (height, width) and size is None:
        raise ModelError(
            f"{called} has no fixed size", mend="Say which height and width images are to get, for example --size 256x256."
        )
    if size is not None and any(fixed not in (None, given) for fixed, given in zip((height, width), size, strict=True)):
        raise ConfigError(f"it is for images of {height}x{width}, not {size[0]}x{size[1]}", mend="Leave the size out.")
    rows, columns = (fixed or given for fixed, given in zip((height, width), size or (0, 0), strict=True))
    if not all(1 <= side <= MAX_SIDE for side in (rows, columns)):
        raise ConfigError(f"an image of {rows}x{columns} pixels cannot be", mend=f"Each side has 1 to {MAX_SIDE} pixels.")
    shape = (batch if batch != 1 else None, rows, columns, channels)
    return with_order(compute(Node(names[port.name], "input", (), {"shape": shape}), (), NHWC), order)


def _readers(content: ONNXContent, nodes: Sequence[Any]) -> Mapping[str, tuple[str, ...]]:
    """Return the types of the operators that read each value, and "" for an output of the model."""
    readers: dict[str, tuple[str, ...]] = {}
    for name, op in [
        *((n, node.op_type) for node in nodes for n in node.input),
        *((port.name, "") for port in content.outputs),
    ]:
        readers[name] = (*readers.get(name, ()), op)
    return readers


def _values(
    node: Any, values: Mapping[str, Value], names: Mapping[str, str], readers: Mapping[str, tuple[str, ...]], checker: Any
) -> tuple[Value, ...]:
    """Return what an operator gives."""
    label = node.name or next(iter(node.output), "")
    missing = [name for name in node.input if name and name not in values]
    try:
        if missing:
            raise ModelError(f"it reads {missing[0][:80]!r}, which nothing before it gives", mend="Export the model again.")
        inputs = {name: values[name] for name in node.input if name}
        constants = {name: value for name, value in inputs.items() if not isinstance(value, FileTensor)}
        known = node.domain in _DOMAINS
        if known and node.op_type in FOLDED and len(constants) == len(inputs):
            return fold_constants(node, constants, checker.opset_imports[""])
        if not (known and node.op_type in (*OPERATORS, "Shape", "Size")):
            mend = MENDS.get(node.op_type, "Build the network without it, or export it with another opset.")
            raise ModelError("a graph has no form for this operator", mend=mend)
        onnx.checker.check_node(node, checker)
        _check_groups(node, inputs.values())
        read_by = readers.get(next(iter(node.output), ""), ())
        return _computed(node, [inputs.get(name) for name in node.input], names, read_by, checker.opset_imports[""])
    except (ModelError, onnx.checker.ValidationError, *_DAMAGED) as error:
        symptom, mend = (error.symptom, error.mend) if isinstance(error, ModelError) else (_reason(error), "Export it again.")
        raise ModelError(f"node {label[:200]!r} ({node.op_type[:80]}): {symptom}", mend=mend) from error


def _check_groups(node: Any, inputs: Iterable[Value]) -> None:
    """Raise ModelError for an operator other than those of a normalisation by groups that reads a map in groups."""
    grouped = any(isinstance(value, FileTensor) and value.groups for value in inputs)
    if grouped and node.op_type not in ("InstanceNormalization", "Reshape"):
        raise ModelError("it reads a map whose channels are joined in groups", mend=_GROUPS_MEND)


def _computed(
    node: Any, inputs: Sequence[Value | None], names: Mapping[str, str], readers: tuple[str, ...], opset: int
) -> tuple[Value, ...]:
    attrs = {attribute.name: _plain(helper.get_attribute_value(attribute)) for attribute in node.attribute}
    if node.op_type in ("Shape", "Size") and isinstance(inputs[0], FileTensor):
        shape = np.asarray(inputs[0].file_shape, np.int64)
        return (shape[attrs.get("start", 0) : attrs.get("end")] if node.op_type == "Shape" else np.asarray(shape.prod()),)
    outputs = [name for name in node.output if name]
    result = OPERATORS[node.op_type](
        ONNXOperator(node.op_type, attrs, tuple(inputs), tuple(names[name] for name in outputs), opset, readers)
    )
    return result if isinstance(result, tuple) else (result,)


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _checker(opset: int) -> Any:
    """Return the context in which onnx checks an operator's attributes."""
    context = onnx.checker.C.CheckerContext()
    context.ir_version, context.opset_imports = onnx.IR_VERSION, {"": opset}
    return context


def _name_values(values: Iterable[str]) -> dict[str, str]:
    """Return a unique name in the graph for every value: "/down/conv/Conv_output_0" is "down.conv.Conv".

    Names of intermediate steps have a hyphen, which these have not.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for value in values:
        plain = re.sub(r"(_output_0|:0)$", "", value).strip("/").replace("/", ".")
        plain = re.sub(r"[^A-Za-z0-9_.]", "_", plain)[-_LONGEST_NAME:].lstrip("_.") or "value"
        names[value] = _unused(plain, taken)
        taken.add(names[value])
    return names


def _unused(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number, free = number + 1, f"{name}_{number}"
    return free


def _name_outputs(graph: Graph, names: Sequence[str]) -> Graph:
    """Return the graph whose outputs have the names of the file's outputs, if no other node has them."""
    wanted = {node: name for name, node in reversed(tuple(zip(names, graph.outputs, strict=True))) if node not in graph.inputs}
    plain = {node: re.sub(r"[^A-Za-z0-9_.]", "_", name)[:_LONGEST_NAME].lstrip("_.") for node, name in wanted.items()}
    free = {node: name for node, name in plain.items() if name and (name == node or name not in graph)}
    return rename(graph, free) if len(set(free.values())) == len(free) else graph
