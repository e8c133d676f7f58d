"""A raw LiteRT interpreter for TFLite networks with any inputs and outputs and without u3p_edge metadata.

It serves to time them, and to find the operators that XNNPACK takes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from u3p_edge.errors import ModelError
from u3p_edge.runtime.registry import RUNTIMES
from u3p_edge.runtime.tflite import quiet_stderr

_DELEGATE = "DELEGATE"


@dataclass(frozen=True)
class RawModel:
    """A network loaded in a raw interpreter; its memory is freed with the last reference to it."""

    _interpreter: Any

    def run(self) -> None:
        """Run once, on the inputs it holds."""
        self._interpreter.invoke()


def open_raw(data: bytes, threads: int = 1) -> RawModel:
    """Load a TFLite file's bytes in a raw interpreter; its inputs are random, so that no kernel meets denormal numbers.

    Raises:
        ModelError: LiteRT cannot run it.
        MissingPackageError: LiteRT is not installed.
    """
    interpreter = _load(data, threads)
    rng = np.random.default_rng(0)
    for port in interpreter.get_input_details():
        interpreter.set_tensor(port["index"], _random(rng, tuple(port["shape"]), np.dtype(port["dtype"])))
    return RawModel(interpreter)


def find_slow_operators(data: bytes) -> tuple[int, ...]:
    """Return the indices, in the file's order, of the operators that XNNPACK does not take: the kernels of TFLite run them.

    LiteRT lists the file's operators, then one DELEGATE for each sequence of operators that went to XNNPACK, with its input and
    output tensors. XNNPACK took the operators between those tensors.

    Raises:
        ModelError: LiteRT cannot run it.
        MissingPackageError: LiteRT is not installed.
    """
    details = _load(data, 1)._get_ops_details()
    operators = [op for op in details if op["op_name"] != _DELEGATE]
    makers = {int(tensor): index for index, op in enumerate(operators) for tensor in op["outputs"]}
    taken = {index for op in details if op["op_name"] == _DELEGATE for index in _between(op, operators, makers)}
    return tuple(index for index in range(len(operators)) if index not in taken)


def _between(delegate: Mapping[str, Any], operators: list[Mapping[str, Any]], makers: Mapping[int, int]) -> Iterator[int]:
    """Yield the indices of the operators that compute a delegate's outputs from its inputs."""
    seen, waiting = {int(tensor) for tensor in delegate["inputs"]}, [int(tensor) for tensor in delegate["outputs"]]
    while waiting:
        tensor = waiting.pop()
        if tensor not in seen and tensor in makers:
            yield makers[tensor]
            waiting += [int(read) for read in operators[makers[tensor]]["inputs"]]
        seen.add(tensor)


def _load(data: bytes, threads: int) -> Any:
    try:
        library = importlib.import_module("ai_edge_litert.interpreter")
    except ImportError as error:
        raise RUNTIMES["tflite"].missing("running this network", error) from error
    try:
        with quiet_stderr():
            interpreter = library.Interpreter(model_content=data, num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"LiteRT cannot run the network: {(str(error).splitlines() or ['unknown'])[0]}") from error
    return interpreter


def _random(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        return rng.standard_normal(shape, dtype=np.float32).astype(dtype)
    return rng.integers(-100, 100, shape).astype(dtype) if dtype == np.int8 else np.zeros(shape, dtype)
