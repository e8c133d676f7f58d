"""`u3p-edge inspect`: what a network costs, in which operators, and how its runtime executes it.

.tflite file ─ read ───────────────────────────────────────┐
network.int8.safetensors ─ read ─────────────┬─ operators ─┴─► cost, memory plan, XNNPACK's refusals, times
float model ─ inference graph ─ (integers) ──┘
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from u3p_edge.config.limits import MAX_MEMORY_MB
from u3p_edge.conversion.network_file import SUFFIX, read_network
from u3p_edge.conversion.tflite.arena import list_lives
from u3p_edge.conversion.tflite.names import list_names
from u3p_edge.conversion.tflite.pack import pack
from u3p_edge.conversion.tflite.schema import Operator, Tensor, TFLiteGraph
from u3p_edge.conversion.tflite.writer import lower_graph
from u3p_edge.errors import about, require_packages
from u3p_edge.files.tflite import check
from u3p_edge.graph.decompose import decompose
from u3p_edge.graph.fold import fold_batch_norm
from u3p_edge.graph.memory import plan_lives
from u3p_edge.latency.dummy_quantized import make_dummy_quantized
from u3p_edge.latency.per_op import count_macs, profile_operators
from u3p_edge.pipeline.publish import NETWORK_FILE
from u3p_edge.progress import Progress, silent
from u3p_edge.recipes.recipe import ModelOptions
from u3p_edge.report.inspection import Alive, Inspection, MemoryUse, NodeCost, SlowOperator
from u3p_edge.runtime.base import check_file
from u3p_edge.runtime.tflite_raw import find_slow_operators


@require_packages("inspecting this model")
def inspect(
    model: str | Path | None = None,
    *,
    int8: bool = False,
    size: tuple[int, int] | None = None,
    trust: bool = False,
    threads: int = 1,
    profile: bool = False,
    max_memory_mb: float = MAX_MEMORY_MB,
    progress: Progress = silent,
) -> Inspection:
    """Show where a model's arithmetic, memory and time go.

    Args:
        model: a .tflite file; a run folder of `u3p-edge export`, or its network file; a run folder of `u3p-edge train`, a
            .keras, .h5 or float .onnx file; None for the embedded reference model.
        int8: inspect the int8 network that a float model would become; its values are made up, and no figure depends on them.
        size: height and width of the image, for a Keras or ONNX file that leaves them open.
        trust: run code that a Keras file holds.
        threads: number of threads for timing.
        profile: time every operator.
        max_memory_mb: a .tflite file that would take more, in MB of 10^6 bytes, is refused.
        progress: see `u3p_edge.progress`.

    Raises:
        ModelError: missing, damaged, or not a network that can be read.
        MissingPackageError: LiteRT is not installed.
    """
    path, options = Path(model) if model else None, ModelOptions(size=size or ())
    name, file = _read_file(path, max_memory_mb) or _read_model(path, int8, options, trust)
    return Inspection(
        name=name,
        number="int8" if any(file.tensors[op.outputs[0]].dtype == np.int8 for op in file.operators) else "float32",
        parameters=sum(math.prod(weights.shape) for op in file.operators for weights in _weights(file, op)),
        nodes=tuple(_node(file, op) for op in file.operators),
        memory=_memory(file),
        slow=_slow(file),
        profile=profile_operators(file, threads, progress) if profile else None,
    )


def _read_file(path: Path | None, max_memory_mb: float) -> tuple[str, TFLiteGraph] | None:
    """Return the name and the operators of a TFLite file, or of a network file of an export; None for a float model."""
    if path is not None and path.suffix == ".tflite":
        check_file(path)
        with about(path):
            return path.name, _named(check.read(path.read_bytes(), max_memory_mb).graph)
    network_file = path / NETWORK_FILE if path is not None and path.is_dir() else path
    if network_file is not None and network_file.suffix == SUFFIX and network_file.is_file():
        with about(network_file):
            return network_file.name, lower_graph(read_network(network_file.read_bytes()))
    return None


def _read_model(path: Path | None, int8: bool, options: ModelOptions, trust: bool) -> tuple[str, TFLiteGraph]:
    """Return the name of a float model, and the operators that its TFLite file would have."""
    from u3p_edge.pipeline.source import read_source  # loads TensorFlow

    source = read_source(path, options, trust=trust)
    graph = fold_batch_norm(source.graph)
    return source.name, lower_graph(make_dummy_quantized(decompose(graph)) if int8 else graph)


def _named(file: TFLiteGraph) -> TFLiteGraph:
    """Return the file with plain names of its maps, which the layers of a model may show."""
    called = list_names(file)
    tensors = tuple(replace(tensor, name=called.get(index, tensor.name)) for index, tensor in enumerate(file.tensors))
    return replace(file, tensors=tensors)


def _weights(file: TFLiteGraph, op: Operator) -> tuple[Tensor, ...]:
    """Return the kernel and the bias of an operator that has some."""
    positions = {"TRANSPOSE_CONV": (1, 3), **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"), (1, 2))}
    inputs = [op.inputs[position] for position in positions.get(op.code, ()) if position < len(op.inputs)]
    return tuple(file.tensors[index] for index in inputs if index >= 0)


def _node(file: TFLiteGraph, op: Operator) -> NodeCost:
    result = file.tensors[op.outputs[0]]
    weights = sum(_bytes(tensor) for tensor in _weights(file, op))
    return NodeCost(result.name, op.code, result.shape, count_macs(file, op), weights, _bytes(result))


def _bytes(tensor: Tensor) -> int:
    return math.prod(tensor.shape) * tensor.dtype.itemsize


def _memory(file: TFLiteGraph) -> MemoryUse:
    lives = list_lives(file)
    planned = plan_lives(lives, len(file.operators))
    at_peak = [life for life in lives if life.name in planned.at_peak]
    tensors = [file.tensors[int(life.name)] for life in at_peak]
    alive = [Alive(tensor.name, tensor.shape, life.bytes) for tensor, life in zip(tensors, at_peak, strict=True)]
    # The last of them to come alive brings about the peak.
    first = max(life.first for life in at_peak)
    peak_node = file.tensors[file.operators[first].outputs[0]].name
    return MemoryUse(planned.peak, peak_node, tuple(sorted(alive, key=lambda tensor: -tensor.bytes)))


def _slow(file: TFLiteGraph) -> tuple[SlowOperator, ...]:
    left = [file.operators[position] for position in find_slow_operators(pack(file, None))]
    results = [(op, file.tensors[op.outputs[0]]) for op in left]
    return tuple(SlowOperator(tensor.name, op.code, tensor.shape) for op, tensor in results)
