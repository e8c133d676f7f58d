"""Count the operators, the arithmetic and the memory of a model file that `open_session` has accepted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from u3p_edge.benchmark.structure import Structure

SUFFIXES = (".tflite", ".onnx")
"""Of the files whose operators are known; another runtime may have files of its own."""


def read_structure(path: Path) -> Structure:
    """Return the structure of a .tflite or .onnx file.

    Raises:
        ModelError: the file is damaged, or LiteRT cannot run it.
    """
    return _read_tflite(path.read_bytes()) if path.suffix == ".tflite" else _read_onnx(path.read_bytes())


def _read_tflite(data: bytes) -> Structure:
    # A device with ONNX Runtime alone has none of these.
    from u3p_edge.conversion.tflite.arena import list_lives
    from u3p_edge.conversion.tflite.schema import parse_tflite
    from u3p_edge.graph.memory import plan_lives
    from u3p_edge.latency.per_op import count_macs
    from u3p_edge.runtime.tflite_raw import find_slow_operators

    file = parse_tflite(data)
    return Structure(
        _count(op.code for op in file.operators),
        sum(count_macs(file, op) for op in file.operators),
        plan_lives(list_lives(file), len(file.operators)).peak,
        len(find_slow_operators(data)),
    )


def _read_onnx(data: bytes) -> Structure:
    from u3p_edge.files.onnx_check import list_operators

    return Structure(_count(list_operators(memoryview(data))))


def _count(codes: Iterable[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(Counter(codes).items()))
