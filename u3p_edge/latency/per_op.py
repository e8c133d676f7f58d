"""Per-operator profile: every operator of a network timed alone, next to the least time its arithmetic could take.

Each operator is cut out of the TFLite file as a separate network, together with the ReLU that is fused into it. Operators
that differ only in their weights are timed once. An operator that runs alone finds its input still in the caches, so the sum
of the operators is a little less than the time of the whole network. Both are reported.

The floor of an operator is its multiply-accumulates divided by the highest rate per second measured on this machine, in large
1x1 and large 3x3 convolutions whose operands stay in the caches. An operator without multiply-accumulates has the floor 0: it
only moves data.

Every time here is the fastest of some runs. No time is compared with another that was taken side by side, and other programs
can only add time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from u3p_edge.conversion.tflite.pack import pack
from u3p_edge.conversion.tflite.schema import Operator, Tensor, TFLiteGraph
from u3p_edge.errors import ModelError
from u3p_edge.graph.ir import Graph, Node
from u3p_edge.latency.probe import Target, time_files, to_file
from u3p_edge.progress import Progress, Step, idle, silent

PEAK_LAYERS = ((3, 64, 128), (3, 160, 96), (1, 512, 64), (1, 1024, 32))
"""(kernel, channels in and out, height and width) of the convolutions that measure the peak rate."""

_TYPES = frozenset(map(np.dtype, (np.float32, np.int8, np.int32)))


@dataclass(frozen=True)
class OpTime:
    """The time of one operator.

    Args:
        node: name of its output tensor.
        op: TFLite's name of the operator, e.g. "CONV_2D".
        shape: shape of that tensor, batch first.
        macs: multiply-accumulates.
        ms: milliseconds of the fastest run of the operator alone.
        floor_ms: milliseconds that the arithmetic alone takes at the machine's peak rate.
    """

    node: str
    op: str
    shape: tuple[int, ...]
    macs: int
    ms: float
    floor_ms: float


@dataclass(frozen=True)
class Profile:
    """The per-operator times of one network.

    Args:
        rows: one entry for each operator, in the order in which they run.
        whole_ms: milliseconds of the fastest run of the whole network.
        peak: the peak rate in multiply-accumulates per second, see the function `measure_peak`.
        threads: number of threads of all timings.
    """

    rows: tuple[OpTime, ...]
    whole_ms: float
    peak: float
    threads: int


def profile_operators(file: TFLiteGraph, threads: int = 1, progress: Progress = silent) -> Profile:
    """Profile the operators of a TFLite file. Raises ModelError for element types other than float32, int8 and int32."""
    _check_types(file)
    step = progress("Profile", len({_key(file, op) for op in file.operators}) + 2)
    best = measure_peak(Target("int8" if _is_int8(file) else "float32", threads))
    step()
    (whole,) = time_files([pack(file, None)], threads, min)
    step()
    times = time_operators(file, threads, step)
    rows = tuple(_row(file, op, took, best) for took, op in zip(times, file.operators, strict=True))
    return Profile(rows, whole, best, threads)


def time_operators(file: TFLiteGraph, threads: int = 1, step: Step = idle) -> tuple[float, ...]:
    """Measure the milliseconds of each operator alone, its fastest run; those that differ in weights alone are timed once.

    Args:
        file: the network.
        threads: number of threads.
        step: called after each operator that is timed.

    Raises:
        ModelError: element types other than float32, int8 and int32.
    """
    _check_types(file)
    keys = [_key(file, op) for op in file.operators]
    times: dict[object, float] = {}
    for key, op in dict(zip(reversed(keys), reversed(file.operators), strict=True)).items():
        (times[key],) = time_files([pack(_alone(file, op), None)], threads, min)
        step()
    return tuple(times[key] for key in keys)


def _check_types(file: TFLiteGraph) -> None:
    odd = next((tensor for tensor in file.tensors if tensor.dtype not in _TYPES), None)
    if odd is not None:
        raise ModelError(f"a network cannot be timed by operators where the tensor {odd.name!r} is {odd.dtype}")


def measure_peak(target: Target) -> float:
    """Measure the peak rate of this machine: the most multiply-accumulates per second in any of `PEAK_LAYERS`."""
    rates = []
    for kernel, channels, size in PEAK_LAYERS:
        (took,) = time_files([to_file(_layer(kernel, channels, size), target.number)], target.threads, min)
        rates.append(kernel**2 * channels**2 * size**2 / took * 1e3)
    return max(rates)


def count_macs(file: TFLiteGraph, op: Operator) -> int:
    """Return the multiply-accumulates of an operator; 0 unless it is a convolution or dense layer. Padding counts as data."""
    if op.code in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        shape = file.tensors[op.outputs[0]].shape
    elif op.code == "TRANSPOSE_CONV":
        shape = file.tensors[op.inputs[2]].shape
    else:
        return 0
    return math.prod(shape[:-1]) * math.prod(file.tensors[op.inputs[1]].shape)


def _row(file: TFLiteGraph, op: Operator, took: float, best: float) -> OpTime:
    result, count = file.tensors[op.outputs[0]], count_macs(file, op)
    return OpTime(result.name, op.code, result.shape, count, took, count / best * 1e3)


def _is_int8(file: TFLiteGraph) -> bool:
    return any(file.tensors[index].dtype == np.int8 for op in file.operators for index in op.outputs)


def _layer(kernel: int, channels: int, size: int) -> Graph:
    weights = np.random.default_rng(0).standard_normal((kernel, kernel, channels, channels), np.float32) / channels
    nodes = (
        Node("x", "input", (), {"shape": (1, size, size, channels)}),
        Node("y", "conv", ("x",), {"padding": "same"}, {"kernel": weights}),
    )
    return Graph(nodes, ("x",), ("y",))


def _key(file: TFLiteGraph, op: Operator) -> object:
    """Return a key that is equal for operators that take the same time: code, options, and tensors without their weights."""
    options = tuple(sorted((name, str(value)) for name, value in op.options.items()))
    return op.code, options, tuple(_seen(file.tensors[i]) if i >= 0 else None for i in (*op.inputs, *op.outputs))


def _seen(tensor: Tensor) -> object:
    # Small int32 constants are sizes, axes and positions, which decide what the operator does.
    value = tensor.data.tobytes() if tensor.data is not None and tensor.dtype == np.int32 and tensor.data.size <= 16 else None
    return tensor.shape, tensor.dtype.str, tensor.data is None, value if not tensor.scale.size else None


def _alone(file: TFLiteGraph, op: Operator) -> TFLiteGraph:
    """Return a graph of this operator alone; the maps that it reads become the inputs."""
    used = list(dict.fromkeys(index for index in (*op.inputs, *op.outputs) if index >= 0))
    new = {index: position for position, index in enumerate(used)}
    tensors = tuple(file.tensors[index] for index in used)
    inputs = tuple(new[i] for i in used if file.tensors[i].data is None and i not in op.outputs)
    outputs = tuple(new[i] for i in op.outputs)
    alone = Operator(op.code, tuple(new.get(i, -1) for i in op.inputs), outputs, op.options)
    return TFLiteGraph(tensors, (alone,), inputs, outputs)
