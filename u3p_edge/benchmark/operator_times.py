"""How long the operators of a TFLite file take, by kind; each is timed alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from u3p_edge.errors import ConfigError, ModelError
from u3p_edge.progress import Step, idle


@dataclass(frozen=True)
class OperatorTime:
    """All operators of one kind in a file.

    Args:
        operator: its name, e.g. "CONV_2D".
        count: how many there are.
        ms: milliseconds of all of them together at 1 thread: each alone, its fastest run.
    """

    operator: str
    count: int
    ms: float

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.ms < math.inf:
            raise ConfigError("the time of operators must be of one or more, and finite")


def measure_operators(path: Path, step: Step = idle) -> tuple[OperatorTime, ...]:
    """Return the times of a file's operators by kind, the slowest kind first.

    Operators that run alone find their input in the caches, so their sum is a little less than the time of the network.

    Args:
        path: a model file that `open_session` has accepted.
        step: called once, when the file is timed or skipped.

    Returns:
        Empty for another format than TFLite, and for a file with other numbers than float32, int8 and int32.
    """
    times = _time_by_kind(path) if path.suffix == ".tflite" else {}
    step()
    kinds = [OperatorTime(code, len(ms), float(sum(ms))) for code, ms in times.items()]
    return tuple(sorted(kinds, key=lambda kind: -kind.ms))


def _time_by_kind(path: Path) -> dict[str, list[float]]:
    """Return milliseconds of each operator by its kind; none of a file that is not timed."""
    # A device with ONNX Runtime alone has none of these.
    from u3p_edge.conversion.tflite.schema import parse_tflite
    from u3p_edge.latency.per_op import time_operators

    file = parse_tflite(path.read_bytes())
    try:
        times = time_operators(file)
    except ModelError:
        return {}
    by_kind: dict[str, list[float]] = {}
    for op, took in zip(file.operators, times, strict=True):
        by_kind.setdefault(op.code, []).append(took)
    return by_kind
