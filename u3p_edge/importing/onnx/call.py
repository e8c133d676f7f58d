"""One operator of a file with the values that it reads, as the functions in `operators` take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Node
from u3p_edge.importing.onnx.content import Array
from u3p_edge.importing.onnx.tensors import NCHW, FileTensor, compute

Value = FileTensor | Array
_MAP = 4


@dataclass(frozen=True)
class ONNXOperator:
    """One operator.

    Args:
        op: the operator's type, such as "Conv".
        attrs: its attributes; text is decoded.
        inputs: what it reads; None for an input that is left out.
        names: a name in the graph for each of its outputs.
        opset: its version.
        readers: types of the operators that read its first output; "" for a reader outside of the file.
    """

    op: str
    attrs: Mapping[str, Any]
    inputs: tuple[Value | None, ...]
    names: tuple[str, ...]
    opset: int
    readers: tuple[str, ...] = ()

    def has(self, index: int) -> bool:
        """Return whether an input is given."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def tensor(self, index: int = 0) -> FileTensor:
        """Return an input that the network computes. Raises ModelError for a constant."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if not isinstance(value, FileTensor):
            raise ModelError(f"its input {index} is {'missing' if value is None else 'a constant'}, not a map")
        return value

    def image(self) -> FileTensor:
        """Return the first input, a map [N, C, H, W]. Raises ModelError for anything else."""
        x = self.tensor()
        if x.rank != _MAP:
            raise ModelError(f"it reads a tensor of {x.rank} axes, and only maps [N, C, H, W] can be read here")
        if x.order != NCHW:
            raise ModelError("it reads a map that was transposed, whose second axis is not its channels")
        return x

    def constant(self, index: int) -> Array:
        """Return an input that is a constant. Raises ModelError for one that the network computes."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None or isinstance(value, FileTensor):
            raise ModelError(
                f"its input {index} is {'missing' if value is None else 'computed by the network'}, not a constant",
                mend="Export the model for inference, with its weights and sizes as constants.",
            )
        return value

    def weight(self, index: int, rank: int | None = None) -> Array:
        """Return a constant of float32 numbers, of that rank. Raises ModelError for others."""
        array = self.constant(index)
        if array.dtype != np.float32:
            raise ModelError(f"its weights are {array.dtype}, not float32", mend="Export the model in float32.")
        if rank is not None and array.ndim != rank:
            raise ModelError(f"its weights have {array.ndim} axes, not {rank}", mend="Only networks of 2-D images can be read.")
        return array

    def integers(self, name: str, index: int | None = None) -> tuple[int, ...] | None:
        """Return whole numbers from an attribute, or from the constant input that newer opsets have in its place."""
        if name in self.attrs:
            value = self.attrs[name]
            return (value,) if isinstance(value, int) else tuple(value)
        if index is not None and self.has(index):
            return tuple(int(n) for n in self.constant(index).ravel())
        return None

    def pair(self, name: str, default: int = 1) -> tuple[int, int]:
        """Return an attribute of two positive numbers, for height and width."""
        first, second = self.integers(name) or (default, default)
        if min(first, second) < 1:
            raise ValueError(f"{name} cannot be {first, second}")
        return first, second

    def node(
        self,
        op: str,
        *inputs: FileTensor,
        attrs: Mapping[str, Any] | None = None,
        weights: Mapping[str, Array] | None = None,
        part: str = "",
        output: int = 0,
        order: tuple[int, ...] | None = None,
    ) -> FileTensor:
        """Return the tensor of a new node.

        Args:
            op: of the graph.
            inputs: what it reads.
            attrs, weights: of the node.
            part: name of an intermediate step of the operator; empty for what gives the operator's result.
            output: which of the operator's outputs the node is for.
            order: of the result's axes in the file; None for that of the first input.
        """
        name = f"{self.names[output]}-{part}" if part else self.names[output]
        return compute(Node(name, op, tuple(x.node for x in inputs), attrs or {}, weights or {}), inputs, order)


def same_order(tensors: Sequence[FileTensor]) -> tuple[FileTensor, ...]:
    """Return the tensors. Raises ModelError where they have different ranks, or their axes different orders."""
    if len({x.order for x in tensors}) != 1:
        raise ModelError("it joins tensors of different ranks or layouts")
    return tuple(tensors)
