"""What the functions of the API share in reading their arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from u3p_edge.latency.probe import Target


def as_target(name: str, threads: int) -> Target:
    """Return the target of a name such as "tflite-int8". Raises ConfigError where there is none."""
    from u3p_edge.latency.probe import Target

    runtime, _, number = name.partition("-")
    return Target(number, threads, runtime)
