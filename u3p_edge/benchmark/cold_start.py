"""How long a fresh process takes from a file to its first mask."""

from __future__ import annotations

import math
from dataclasses import dataclass

from u3p_edge.errors import ConfigError


@dataclass(frozen=True)
class ColdStart:
    """Milliseconds of fresh processes from a file to its first mask, at 1 thread; one sample a process.

    Python and the runtime's library are loaded before; the file may lie in the system's cache.

    Args:
        load_ms: milliseconds to check and load the file.
        first_ms: milliseconds of the first image, which also touches all memory for the first time.
    """

    load_ms: tuple[float, ...]
    first_ms: tuple[float, ...]

    def __post_init__(self) -> None:
        samples = (*self.load_ms, *self.first_ms)
        if not samples or len(self.load_ms) != len(self.first_ms) or not all(math.isfinite(ms) and ms >= 0 for ms in samples):
            raise ConfigError("a cold start must have samples from 0 ms on, as many of loading as of first images")

    @property
    def total_ms(self) -> tuple[float, ...]:
        """Milliseconds from the file to the first mask, of each process."""
        return tuple(load + first for load, first in zip(self.load_ms, self.first_ms, strict=True))
