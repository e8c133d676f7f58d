"""Building blocks for writing a graph to TFLite: calls of operators, constants, and what is fused or never computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from u3p_edge.conversion.tflite.schema import Tensor
from u3p_edge.errors import ModelError
from u3p_edge.graph.activation import fused_relu, is_plain_relu
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.graph.ops import Shape
from u3p_edge.graph.scheme import Scheme

_T = TypeVar("_T")

NONE, RELU, RELU6 = 0, 1, 3  # schema.ActivationFunctionType
SAME, VALID = 0, 1  # schema.Padding

CONCAT_OPERANDS = 5
"""The most operands that XNNPACK accepts in a concatenation."""

_NO_SCALES = np.zeros(0, np.float32)
_NO_ZEROS = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Call:
    """One operator: its inputs are maps by name, constants, or None for an absent one; its output is a new map."""

    code: str
    inputs: tuple[str | Tensor | None, ...]
    output: Tensor
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class LoweringContext:
    """A graph with what is known of its tensors.

    Args:
        graph: the graph to be written.
        scheme: what its integers represent; None for float32.
        shapes: the shape of every node's tensor.
        alias: for every node that computes nothing, the node whose tensor it shares.
        fused: for every node whose tensor is never materialised, the ReLU that takes its place.
        layouts: whether operators may have layouts that need less memory.
    """

    graph: Graph
    scheme: Scheme | None
    shapes: Mapping[str, Shape]
    alias: Mapping[str, str]
    fused: Mapping[str, str]
    layouts: bool

    def map(self, name: str, shape: Shape | None = None, like: str | None = None) -> Tensor:
        """Return the tensor of a node, or one `like` it in another shape or under another name."""
        node = like or name
        known = self.shapes[node] if shape is None else shape
        if self.scheme is None:
            return Tensor(name, known, np.dtype(np.float32), None, _NO_SCALES, _NO_ZEROS, 0)
        if node not in self.scheme.tensors:
            raise ModelError(f"the node {node!r} is materialised but has no quantization")
        pair = self.scheme.tensors[node]
        scale, zero = np.asarray([pair.scale], np.float32), np.asarray([pair.zero_point], np.int64)
        return Tensor(name, known, np.dtype(np.int8), None, scale, zero, 0)

    def source(self, node: Node, position: int = 0) -> str:
        """Return the name of the tensor that a node reads."""
        return resolve(self.alias, node.inputs[position])

    def sources(self, node: Node) -> tuple[str, ...]:
        """Return the names of the tensors that a node reads, without what is not written."""
        return tuple(resolve(self.alias, name) for name in node.inputs)


def make_context(graph: Graph, scheme: Scheme | None, *, layouts: bool = True) -> LoweringContext:
    """Collect what is known of a graph before it is written. Raises ModelError as `shapes` does."""
    return LoweringContext(graph, scheme, graph.shapes, _aliases(graph, scheme), _fused(graph, scheme), layouts)


def resolve(alias: Mapping[str, str], name: str) -> str:
    """Return the name of the tensor behind `name`, which may be an alias of an alias."""
    return resolve(alias, alias[name]) if name in alias else name


def _aliases(graph: Graph, scheme: Scheme | None) -> Mapping[str, str]:
    def nothing(node: Node) -> bool:
        if node.op == "activation":
            return bool(node.attrs["function"] == "linear")
        return node.kind.is_identity

    def same(node: Node) -> bool:
        return scheme is None or scheme.tensors.get(node.name) == scheme.tensors.get(node.inputs[0])

    known = {n.name: n.inputs[0] for n in graph.nodes if nothing(n) and same(n) and n.name not in graph.outputs}
    return MappingProxyType(known)


def _fused(graph: Graph, scheme: Scheme | None) -> Mapping[str, str]:
    """Map each node into which a ReLU is fused to that ReLU.

    In a float graph every ReLU that can be fused is. In an integer graph those are whose input has no quantization in the
    scheme.
    """
    relus = {node.name: fused_relu(graph, node) for node in graph.nodes if scheme is None or node.name not in scheme.tensors}
    return MappingProxyType({name: relu for name, relu in relus.items() if relu is not None})


def relu_kind(node: Node) -> int:
    """Return the fused activation that a ReLU node becomes; see `graph.activation.is_relu`."""
    return RELU if is_plain_relu(node) else RELU6


def make_constant(name: str, values: npt.NDArray[Any], like: Tensor | None = None) -> Tensor:
    """Return a constant; with `like`, it has that tensor's scale and zero point."""
    scale, zero = (_NO_SCALES, _NO_ZEROS) if like is None else (like.scale, like.zero_point)
    return Tensor(name, values.shape, values.dtype, values, scale, zero, 0)


def integers(name: str, *values: Any) -> Tensor:
    """Return an int32 constant: sizes, axes, positions."""
    return make_constant(name, np.asarray(values, np.int32))


def quantized(name: str, values: npt.NDArray[Any], scale: npt.NDArray[np.float32], axis: int) -> Tensor:
    """Return a symmetric constant with a scale for every index of an axis."""
    return Tensor(name, values.shape, values.dtype, values, scale, np.zeros(scale.size, np.int64), axis)


def joined(operands: Sequence[tuple[str, Shape]], out: Tensor, axis: int) -> tuple[Call, ...]:
    """Concatenate the maps, given by name and shape, to `out` along an axis.

    Where there are more maps than XNNPACK accepts, they are joined in a tree that copies as many of them as possible only once.
    """
    level, calls = list(operands), list[Call]()
    while len(level) > CONCAT_OPERANDS:
        fewer = []
        for part in _parts(level):
            if len(part) > 1:
                shape = (*out.shape[:axis], sum(shape[axis] for _, shape in part), *out.shape[axis + 1 :])
                given = replace(out, name=f"{out.name}/{len(calls)}", shape=shape)
                calls.append(Call("CONCATENATION", tuple(name for name, _ in part), given, {"axis": axis}))
                part = [(given.name, shape)]
            fewer += part
        level = fewer
    return *calls, Call("CONCATENATION", tuple(name for name, _ in level), out, {"axis": axis})


def _parts(operands: list[_T]) -> list[list[_T]]:
    """Group the operands, in order, into parts of at most five, from the left until five parts or fewer remain."""
    parts, start, surplus = [], 0, len(operands) - CONCAT_OPERANDS
    while start < len(operands):
        size = min(CONCAT_OPERANDS, surplus + 1)
        part = operands[start : start + size]
        parts.append(part)
        start, surplus = start + len(part), surplus - len(part) + 1
    return parts
