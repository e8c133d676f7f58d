"""One operator with its tensors, as the relations of shapes ask about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.files.tflite.graph import Operator, Tensor

Shape = tuple[int, ...]
FEW = 64
"""Numbers in a constant that says a shape or an axis; more are never needed."""
LARGEST = 1 << 20
"""Of a stride, a dilation, a window: kernels multiply them in 32 bits."""


@dataclass(frozen=True)
class Call:
    """An operator; `inputs` holds None where an optional one is left out."""

    op: Operator
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]

    def refusal(self, reason: str) -> ModelError:
        """The error that names the operator and what it gives."""
        return ModelError(f"the TFLite operator {self.op.code} that gives {self.outputs[0].name!r} cannot be run: {reason}")

    def require(self, fits: bool, reason: str) -> None:
        """Raise `refusal` unless it fits."""
        if not fits:
            raise self.refusal(reason)

    def tensor(self, position: int) -> Tensor:
        """An input that must be there."""
        found = self.inputs[position] if position < len(self.inputs) else None
        if found is None:
            raise self.refusal(f"its input {position} is missing")
        return found

    def optional(self, position: int) -> Tensor | None:
        """An input that may be left out."""
        return self.inputs[position] if position < len(self.inputs) else None

    def shape(self, position: int = 0, rank: int | None = None) -> Shape:
        """The shape of an input, of so many dimensions if `rank` says so."""
        found = self.tensor(position).shape
        self.require(rank is None or len(found) == rank, f"its input {position} has the shape {list(found)}")
        return found

    def integers(self, position: int, count: int | None = None) -> tuple[int, ...]:
        """The numbers of a constant input of integers, e.g. a shape or axes; of a matrix, row after row."""
        tensor = self.tensor(position)
        if tensor.data is None:
            raise self.refusal(f"its input {position} is computed, where a constant is needed")
        allowed = tensor.dtype in (np.int32, np.int64) and tensor.data.size <= FEW
        self.require(allowed, f"its input {position} is not a few integers")
        found = tuple(int(n) for n in tensor.data.ravel())
        self.require(count is None or len(found) == count, f"its input {position} has {len(found)} numbers, not {count}")
        return found

    def option(self, name: str) -> Any:
        """An option that must be there."""
        if name not in self.op.options:
            raise self.refusal(f"its option {name} is missing")
        return self.op.options[name]

    def positive(self, name: str, default: int | None = None) -> int:
        """An option that is a number from 1 on."""
        value = self.op.options.get(name, default) if default is not None else self.option(name)
        self.require(1 <= value <= LARGEST, f"its option {name} is {value}")
        return int(value)

    def axis(self, value: int, rank: int) -> int:
        """An axis counted from the first; negative ones count from the last."""
        self.require(-rank <= value < rank, f"its axis {value} is not one of {rank}")
        return value % rank

    def constant_axis(self, position: int, rank: int) -> int:
        """The axis that a constant input holds, counted from the first."""
        (value,) = self.integers(position, 1)
        return self.axis(value, rank)

    def activation(self) -> None:
        """Refuse a fused activation that no kernel knows (0 none, 1 ReLU, 2 -1 to 1, 3 ReLU6)."""
        self.require(self.op.options.get("fusedActivationFunction", 0) in (0, 1, 2, 3), "its fused activation is not known")
