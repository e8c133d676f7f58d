"""One operator of a TFLite file with its tensors, and the questions that a check of its shapes asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.files.tflite.graph import Operator, Tensor

Shape = tuple[int, ...]
FEW = 64
"""Most numbers in a constant that gives a shape or axes; more are never needed."""
LARGEST = 1 << 20
"""Largest stride, dilation or window: kernels multiply them in 32 bits."""


@dataclass(frozen=True)
class OperatorCall:
    """An operator and its tensors; `inputs` has None where an optional one is left out."""

    op: Operator
    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor, ...]

    def refusal(self, reason: str) -> ModelError:
        """Return the error that names the operator and what it gives."""
        return ModelError(f"the TFLite operator {self.op.code} that gives {self.outputs[0].name!r} cannot be run: {reason}")

    def require(self, fits: bool, reason: str) -> None:
        """Raise `refusal(reason)` unless `fits`."""
        if not fits:
            raise self.refusal(reason)

    def tensor(self, position: int) -> Tensor:
        """Return an input that must be there. Raises ModelError."""
        tensor = self.optional(position)
        if tensor is None:
            raise self.refusal(f"its input {position} is missing")
        return tensor

    def optional(self, position: int) -> Tensor | None:
        """Return an input that may be left out; None where it is."""
        return self.inputs[position] if position < len(self.inputs) else None

    def shape(self, position: int = 0, rank: int | None = None) -> Shape:
        """Return the shape of an input, which must have `rank` dimensions if that is given. Raises ModelError."""
        shape = self.tensor(position).shape
        self.require(rank is None or len(shape) == rank, f"its input {position} has the shape {list(shape)}")
        return shape

    def integers(self, position: int, count: int | None = None) -> tuple[int, ...]:
        """Return the numbers of a constant input of integers, e.g. a shape or axes; those of a matrix row by row.

        Raises:
            ModelError: the input is computed, not of integers, or has other than `count` numbers.
        """
        tensor = self.tensor(position)
        if tensor.data is None:
            raise self.refusal(f"its input {position} is computed, where a constant is needed")
        allowed = tensor.dtype in (np.int32, np.int64) and tensor.data.size <= FEW
        self.require(allowed, f"its input {position} is not a few integers")
        numbers = tuple(int(n) for n in tensor.data.ravel())
        self.require(count is None or len(numbers) == count, f"its input {position} has {len(numbers)} numbers, not {count}")
        return numbers

    def option(self, name: str) -> Any:
        """Return an option that must be there. Raises ModelError."""
        if name not in self.op.options:
            raise self.refusal(f"its option {name} is missing")
        return self.op.options[name]

    def positive(self, name: str, default: int | None = None) -> int:
        """Return an option that is a number from 1 to `LARGEST`. Raises ModelError for another."""
        value = self.op.options.get(name, default) if default is not None else self.option(name)
        self.require(1 <= value <= LARGEST, f"its option {name} is {value}")
        return int(value)

    def axis(self, value: int, rank: int) -> int:
        """Return an axis counted from the first, for one that counts from the last where it is negative."""
        self.require(-rank <= value < rank, f"its axis {value} is not one of {rank}")
        return value % rank

    def constant_axis(self, position: int, rank: int) -> int:
        """Return the axis that a constant input holds, counted from the first."""
        (value,) = self.integers(position, 1)
        return self.axis(value, rank)

    def activation(self) -> None:
        """Refuse a fused activation that no kernel knows (0 none, 1 ReLU, 2 -1 to 1, 3 ReLU6)."""
        self.require(self.op.options.get("fusedActivationFunction", 0) in (0, 1, 2, 3), "its fused activation is not known")
