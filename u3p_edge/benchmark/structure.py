"""What a model file asks of a runtime, counted from the file, so that the same file gives the same figures."""

from __future__ import annotations

from dataclasses import dataclass

from u3p_edge.errors import ConfigError


@dataclass(frozen=True)
class Structure:
    """The operators of a file, and what they cost by arithmetic.

    Args:
        operators: (operator, number of it), sorted by name, e.g. ("CONV_2D", 35).
        macs: multiply-accumulates for one image; None where they cannot be counted from the format.
        arena_bytes: peak of the planned arena of its activations; None likewise.
        undelegated: number of operators that the runtime leaves to slower kernels, as XNNPACK does not take them; None where
            the runtime does not say.
    """

    operators: tuple[tuple[str, int], ...]
    macs: int | None = None
    arena_bytes: int | None = None
    undelegated: int | None = None

    def __post_init__(self) -> None:
        counts = (*(count for _, count in self.operators), self.macs, self.arena_bytes, self.undelegated)
        if any(count is not None and count < 0 for count in counts):
            raise ConfigError("a structure cannot have counts below 0")

    @property
    def total(self) -> int:
        """Number of operators."""
        return sum(count for _, count in self.operators)
